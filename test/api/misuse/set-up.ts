// Wrong uses that must not compile. Each `@ts-expect-error` says what the user meant; tsc reports it as unused the day the error is gone.
import { Holdfast, HoldfastModule, Message } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { inMemory } from '@holdfast/transport-in-memory';
import { kafka } from '@holdfast/transport-kafka';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { rocketmq } from '@holdfast/transport-rocketmq';
import { typeorm } from '@holdfast/typeorm';
import { z } from 'zod';
import { ChargeCard, OrderPlaced } from './messages.js';

// @ts-expect-error meant a schema of this class: `total` is a number here
@Message('order.placed', { version: 2, schema: z.object({ orderId: z.string(), total: z.string() }) })
export class WrongSchema {
  constructor(
    readonly orderId: string,
    readonly total: number,
  ) {}
}

// @ts-expect-error meant a schema that gives every field: `total` would be missing
@Message('order.placed', { version: 3, schema: z.object({ orderId: z.string() }) })
export class IncompleteSchema {
  constructor(
    readonly orderId: string,
    readonly total: number,
  ) {}
}

const transport = database();

// @ts-expect-error meant to name the service
HoldfastModule.forRoot({ transport });
// @ts-expect-error meant to choose a transport
HoldfastModule.forRoot({ service: 'orders', store: typeorm() });
// @ts-expect-error meant `transports` alone
HoldfastModule.forRoot({ service: 'orders', transport, transports: { default: transport } });
// @ts-expect-error meant to say which one is the default
HoldfastModule.forRoot({ service: 'orders', transports: { events: inMemory() } });
// @ts-expect-error meant a list
kafka({ brokers: 'localhost:9092' });
// @ts-expect-error without the proxy there is nobody to speak to
rocketmq({ nameServer: 'localhost:9876' });
// @ts-expect-error meant 'assert', 'check' or 'none'
rabbitmq({ url: 'amqp://localhost', topology: 'create' });
// @ts-expect-error meant 'confirm' or 'tx': there is no publishing that nobody confirms
rabbitmq({ url: 'amqp://localhost', publishMode: 'none' });
// @ts-expect-error meant an exchange or a queue
rabbitmq({ url: 'amqp://localhost', foreign: [{ subscription: 'billing.charge', exchange: 'legacy', queue: 'legacy' }] });
// @ts-expect-error meant to say what type the message has
HoldfastModule.forRoot({ service: 'orders', transport, readForeign: () => ({ id: '1', source: 'legacy', data: {} }) });
// @ts-expect-error meant a mapping that does not wait: it is given the whole message
HoldfastModule.forRoot({ service: 'orders', transport, readForeign: async () => undefined });
// @ts-expect-error meant `store: typeorm()`: the function was not called
HoldfastModule.forRoot({ service: 'orders', transport, store: typeorm });
// @ts-expect-error meant `true`: a text such as "false" would be true
HoldfastModule.forRoot({ service: 'orders', transport, allowInMemory: process.env.ALLOW_IN_MEMORY });
// @ts-expect-error meant `outsideTransaction: 'throw'`
HoldfastModule.forRoot({ service: 'orders', transport, outsideTransaction: 'error' });

// @ts-expect-error meant `name: 'mailer.thank'`: a function has no name to fall back on
new Holdfast({ service: 'mailer', transport }).on(OrderPlaced, () => undefined, { retry: 3 });
// @ts-expect-error meant to return the reply of ChargeCard
new Holdfast({ service: 'cards', transport }).on(ChargeCard, () => undefined, { name: 'cards.charge' });
