import { Holdfast, Message } from '@holdfast/core';
import { inMemory } from '@holdfast/transport-in-memory';

@Message('order.placed')
class OrderPlaced {
  constructor(readonly orderId: string) {}
}

export async function main(): Promise<void> {
  const holdfast = new Holdfast({ service: 'orders', transport: inMemory() });
  holdfast.on(OrderPlaced, ({ orderId }) => console.log(`order ${orderId}`), { name: 'log.orders' });
  await holdfast.start();
  await holdfast.bus.publish(new OrderPlaced('1'));
  await holdfast.stop();
}
