import { fromClientProxy, fromNestOutbox, HoldfastModule, HoldfastOutboxTransport, type ReadForeign } from '@holdfast/nest';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';

const url = process.env.RABBITMQ_URL ?? 'amqp://guest:guest@127.0.0.1:5672';

/** What the old shop sends: `<order><n>7</n></order>`, with an id in a property of AMQP. */
export const fromOldShop: ReadForeign = ({ address, headers, body }) => {
  if (address !== 'old-shop/orders') return undefined;
  const n = /<n>(\d+)<\/n>/.exec(Buffer.from(body).toString())?.[1];
  if (n === undefined) throw new Error('an order without a number');
  return { id: headers['message-id'] ?? '', source: 'old-shop', type: 'order.placed', data: { n: Number(n) } };
};

export const withOldShop = HoldfastModule.forRoot({
  service: 'billing',
  transport: rabbitmq({ url, foreign: [{ subscription: 'billing.charge', exchange: 'old-shop', routingKey: 'orders' }] }),
  store: typeorm(),
  readForeign: fromOldShop,
});

const fromOutbox = fromNestOutbox({ source: 'orders' });
const fromClient = fromClientProxy({
  source: 'orders',
  // There is one event of each type for an order.
  id: (data, type) => `${type} ${(data as { orderId: string }).orderId}`,
});

export const withNestServices = HoldfastModule.forRoot({
  service: 'billing',
  transport: rabbitmq({ url, foreign: [{ subscription: 'billing.charge', queue: 'billing_queue' }] }),
  store: typeorm(),
  // An envelope of the outbox travels as data of a ClientProxy: look for it first.
  readForeign: (raw) => fromOutbox(raw) ?? fromClient(raw),
});

/** Comes from `@nestjs/outbox`. */
declare class NonRetryableMessageError extends Error {
  constructor(message: string, options?: { cause?: unknown });
}

export const outboxTransport = () =>
  HoldfastOutboxTransport.with({
    service: 'orders',
    transport: rabbitmq({ url, confirmTimeout: '8s' }),
    nonRetryable: NonRetryableMessageError,
  });
