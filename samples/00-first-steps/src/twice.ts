import { MessageBus } from '@holdfast/nest';
import type { INestApplicationContext } from '@nestjs/common';
import { OrderPlaced } from './order-placed.js';

/** One message, published twice. */
export async function publishTwice(app: INestApplicationContext): Promise<void> {
  const bus = app.get(MessageBus);
  await bus.publish(new OrderPlaced(1, 'Ada'), { id: 'again' });
  await bus.publish(new OrderPlaced(1, 'Ada'), { id: 'again' });
}
