// Wrong uses that must not compile. Each `@ts-expect-error` says what the user meant; tsc reports it as unused the day the error is gone.
import type { MessageBus, UnitOfWork } from '@holdfast/nest';
import '@holdfast/typeorm';
import { DataSource } from 'typeorm';
import { ChargeCard, OrderPlaced, RefundCard } from './messages.js';

declare const bus: MessageBus;
declare const unit: UnitOfWork;
declare const dataSource: DataSource;
const event = new OrderPlaced('o-1', 20);

export async function calls(): Promise<void> {
  // @ts-expect-error meant `bus.send`: a command has one owner
  await bus.publish(new ChargeCard('o-1'));
  // @ts-expect-error meant `new OrderPlaced(...)`: the class is not a message
  await bus.publish(OrderPlaced);
  // @ts-expect-error meant to await it: a promise is not a message
  await bus.publish(Promise.resolve(event));
  // @ts-expect-error meant one call each: a list is not a message
  await bus.publish([event, event]);
  // @ts-expect-error meant `bus.publish`: an event has no owner
  await bus.send(event);
  // @ts-expect-error meant a command: an event has no reply
  await bus.request(event);
  // @ts-expect-error meant `{ paymentId: string }`: the reply's type comes from the command
  const _wrong: { id: number } = await bus.request(new ChargeCard('o-1'));
  // @ts-expect-error meant ChargeCard: this command has no reply to read
  const _none: { ok: boolean } = await bus.request(new RefundCard('o-1'));
  // @ts-expect-error meant `bus.send`: nobody waits for a reply that is asked for tomorrow
  await bus.request(new ChargeCard('o-1'), { delay: '1d' });
  // @ts-expect-error meant one of the two
  await bus.publish(event, { delay: '5m', at: new Date() });
  // @ts-expect-error meant `key`: routing keys belong to RabbitMQ
  await bus.publish(event, { routingKey: 'orders' });
  // @ts-expect-error meant '20': headers are text
  await bus.publish(event, { headers: { total: 20 } });
  // @ts-expect-error meant `at`
  await bus.publish(event, { delay: new Date() });
  // @ts-expect-error meant `async () => ...`: the unit ends when the promise does
  await unit.run(() => 1);
  // @ts-expect-error meant the manager of the open transaction
  await unit.join(dataSource, async () => {});
}
