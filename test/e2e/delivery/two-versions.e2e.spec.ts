// Two versions of a service in one database, as during a deploy: one knows a type that the other has no class for.
import { type HandlerPolicies, Holdfast, Message, type MessageClass } from '@holdfast/core';
import { eventually, letters, openScene, type Scene } from '../bad-input/support/scene.js';

@Message('shop.paid')
class Paid {
  constructor(readonly n: number) {}
}

@Message('shop.refunded')
class Refunded {
  constructor(readonly n: number) {}
}

const COUNT = 8;
const inOrder = Array.from({ length: COUNT }, (_, n) => n);

let scene: Scene;
let handled: string[] = [];

beforeEach(async () => {
  scene = await openScene({ poolSize: 20 });
  handled = [];
});
afterEach(() => scene.close());

async function start(types: readonly MessageClass<object>[], policies: Partial<HandlerPolicies<never>> = {}): Promise<Holdfast> {
  const handler = async (message: Paid | Refunded) => void handled.push(`${message.constructor.name} ${message.n}`);
  const bus = scene.bus().on(types as never, handler as never, { name: 'billing.book', transactional: true, ...policies } as never);
  await bus.start();
  return bus;
}

const all = () => eventually(async () => (handled.length >= COUNT ? [...handled].sort() : undefined));
const refunds = (bus: Holdfast) => Promise.all(inOrder.map((n) => bus.bus.publish(new Refunded(n), { key: `k${n}` })));

describe.each([true, false])('two versions of a subscription, transactional %p', (transactional) => {
  it('lose nothing of a type that the newer one has given up, nor when that one is rolled back', async () => {
    const older = await start([Paid, Refunded], { transactional });
    const newer = await start([Paid], { transactional });
    await refunds(older);
    expect(await all()).toEqual(inOrder.map((n) => `Refunded ${n}`));
    expect(await letters(older)).toEqual([]);
    await older.stop();
    handled = [];
    await refunds(newer);
    const kept = await eventually(async () => {
      const [row] = await scene.look<{ n: string }>(`select count(*) as n from holdfast_delivery where state = 'retry' and attempts = 0`);
      return Number(row?.n) === COUNT ? row : undefined;
    });
    expect(kept).toBeDefined();
    await newer.stop();
    const back = await start([Paid, Refunded], { transactional });
    expect(await all()).toEqual(inOrder.map((n) => `Refunded ${n}`));
    expect(await letters(back)).toEqual([]);
  });

  it('lose nothing of a type that the newer one has added, when one of the older restarts', async () => {
    const newer = await start([Paid, Refunded], { transactional });
    await start([Paid], { transactional });
    await refunds(newer);
    expect(await all()).toEqual(inOrder.map((n) => `Refunded ${n}`));
    expect(await letters(newer)).toEqual([]);
  });

  it('keep the order of a key, in which only one of them can handle what comes next', async () => {
    const policies = { transactional, idempotent: true, ordering: 'key' } as const;
    const newer = await start([Paid, Refunded], policies);
    await start([Paid], policies);
    for (const n of inOrder) await newer.bus.publish(n % 3 === 1 ? new Refunded(n) : new Paid(n), { key: 'k' });
    await all();
    expect(handled).toEqual(inOrder.map((n) => `${n % 3 === 1 ? 'Refunded' : 'Paid'} ${n}`));
  });

  it('keep nothing for a version that left long ago: what came for it is invalid', async () => {
    const older = await start([Paid, Refunded], { transactional });
    const newer = await start([Paid], { transactional });
    await older.stop();
    await newer.bus.publish(new Refunded(0));
    await eventually(async () => (await scene.look(`select from holdfast_delivery where state = 'retry'`))[0]);
    await scene.look(`update holdfast_taken_type set left_at = left_at - interval '1 hour'`);
    const [letter] = await eventually(async () => ((await letters(newer)).length > 0 ? letters(newer) : undefined));
    expect(letter).toMatchObject({ attempts: 0, error: { code: 'HF_MESSAGE_UNKNOWN_TYPE' }, message: { type: 'shop.refunded' } });
  });
});
