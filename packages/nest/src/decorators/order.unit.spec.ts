import { Message } from '@holdfast/core';
import { Injectable } from '@nestjs/common';
import { type RecordingApp, recordingApp } from '../../../../test/nest/support/recording-engine.js';
import { delivery as deliveryOf } from '../handlers/handler-scene.spec.js';
import { Idempotent, OnMessage, Policies, Retry, Transactional } from '../index.js';

@Message('order.placed')
class OrderPlaced {
  constructor(readonly orderId: string) {}
}

type AnyDecorator = (target: object, name: string, descriptor: PropertyDescriptor) => PropertyDescriptor | undefined;

const POLICIES = {
  retry: Retry({ attempts: 5 }),
  idempotent: Idempotent({ ttl: '1d', key: (event: { orderId: string }) => event.orderId }),
  transactional: Transactional({ timeout: '9s' }),
};
const onMessage = OnMessage(OrderPlaced, { name: 'billing.charge', concurrency: 4 });
/** A decorator of somebody else, which wraps whatever is there. */
const foreign = (_target: object, _name: string, descriptor: PropertyDescriptor) => {
  const inner = descriptor.value as (...args: unknown[]) => unknown;
  return {
    ...descriptor,
    value: function (this: unknown, ...args: unknown[]) {
      return inner.apply(this, args);
    },
  };
};

/** A provider whose method has these decorators, the first of them written on top. */
function classWith(decorators: readonly unknown[], calls: unknown[][]) {
  class Billing {
    async charge(...args: unknown[]) {
      calls.push(args);
      return `by ${this.constructor.name}`;
    }
  }
  const descriptor = [...decorators]
    .reverse()
    .reduce<PropertyDescriptor>(
      (before, decorate) => (decorate as AnyDecorator)(Billing.prototype, 'charge', before) ?? before,
      Object.getOwnPropertyDescriptor(Billing.prototype, 'charge') as PropertyDescriptor,
    );
  Object.defineProperty(Billing.prototype, 'charge', descriptor);
  Injectable()(Billing);
  return Billing;
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}

const delivery = deliveryOf('m-1');

/** Everything that can be seen of a decorated handler: what the engine is told, and what calls of both kinds do. */
async function effectOf(decorators: readonly unknown[]): Promise<unknown> {
  const calls: unknown[][] = [];
  const Billing = classWith(decorators, calls);
  const { app, engine }: RecordingApp = await recordingApp({ providers: [Billing] });
  const event = new OrderPlaced('o-1');
  const delivered = await engine.subscriptions[0]?.handler(event, delivery);
  const byHand = await app.get(Billing).charge(event, delivery);
  const effect = {
    ...engine,
    subscriptions: engine.subscriptions.map(({ types, policies }) => ({ types, policies })),
    delivered,
    byHand,
    calls,
  };
  await app.close();
  return effect;
}

describe('the order of decorators never matters', () => {
  const { retry, idempotent, transactional } = POLICIES;
  const all = permutations([onMessage, retry, idempotent, transactional]);

  it('there are 24 orders of the four', () => expect(all).toHaveLength(24));

  it('on a handler the engine is told the same, and calls do the same', async () => {
    const [first, ...others] = await Promise.all(all.map(effectOf));
    expect(first).toMatchObject({
      subscriptions: [
        {
          types: [OrderPlaced],
          policies: {
            name: 'billing.charge',
            concurrency: 4,
            retry: { attempts: 5 },
            idempotent: { ttl: '1d' },
            transactional: { timeout: '9s' },
          },
        },
      ],
      problems: [],
      transcript: ['start', 'transactional({"timeout":"9s"})', 'stop'],
      delivered: 'by Billing',
      byHand: 'by Billing',
    });
    for (const other of others) expect(other).toEqual(first);
  });

  it('on another method retry is outside idempotent is outside transactional', async () => {
    for (const decorators of permutations([retry, idempotent, transactional])) {
      const calls: unknown[][] = [];
      const Billing = classWith(decorators, calls);
      const { app, engine } = await recordingApp({ providers: [Billing] });
      await expect(app.get(Billing).charge({ orderId: 'o-1' })).resolves.toBe('by Billing');
      expect(engine.transcript.slice(1)).toEqual(['retry({"attempts":5})', 'idempotent({"ttl":"1d"})', 'transactional({"timeout":"9s"})']);
      expect(calls).toEqual([[{ orderId: 'o-1' }]]);
      await app.close();
    }
  });

  it('also with a decorator of somebody else between them', async () => {
    const seen = await Promise.all(permutations([onMessage, foreign, transactional]).map(effectOf));
    for (const other of seen) expect(other).toEqual(seen[0]);
    expect(seen[0]).toMatchObject({ transcript: ['start', 'transactional({"timeout":"9s"})', 'stop'] });
  });

  it('also when they stand together in a preset', async () => {
    const preset = await effectOf([Policies(transactional, retry, idempotent), onMessage]);
    expect(preset).toEqual(await effectOf([onMessage, retry, idempotent, transactional]));
  });
});

it('refuses a policy that a preset already has', () => {
  const preset = Policies(Retry(3), Transactional());
  expect(() => classWith([Retry(5), preset], [])).toThrow('@Retry cannot stand on Billing.charge: it is there already');
});

it('refuses a message class that is not there yet', () => {
  expect(() => classWith([OnMessage(undefined as unknown as typeof OrderPlaced, { name: 'x' })], [])).toThrow(
    '@OnMessage cannot stand on Billing.charge: a message class it names is undefined, as happens when two files import each other; move the class to a file of its own.',
  );
});
