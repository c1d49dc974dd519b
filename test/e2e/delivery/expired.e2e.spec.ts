// Messages that are older than an idempotent subscription remembers repeats: it cannot tell whether they are new.
import type { DeadLetter, Holdfast } from '@holdfast/core';
import { eventually, letters, openScene, OrderPlaced, type Scene } from '../bad-input/support/scene.js';

const NAME = 'billing.charge';
const TIME = '2026-01-02T03:04:05.000Z';
const BY = { by: 'test', reason: 'it was never handled' };
const SENTENCE =
  "The message was published at 2026-01-02T03:04:05.000Z, longer ago than repeats are remembered (604800000 ms), so it cannot be proven new. Redrive it if it was never handled; a longer ttl, or onExpired: 'handle', avoids this.";

let scene: Scene;
const handled: string[] = [];

beforeEach(async () => {
  scene = await openScene();
  handled.length = 0;
});
afterEach(() => scene.close());

async function start(policies: object): Promise<Holdfast> {
  const handler = async ({ orderId }: OrderPlaced) => void handled.push(orderId);
  const bus = scene.bus().on(OrderPlaced, handler, { name: NAME, ...policies } as never);
  await bus.start();
  return bus;
}

/** A row that was written to the log so many days ago, as the database's clock has it. */
async function append(orderId: string, days: number): Promise<void> {
  const attributes = {
    specversion: '1.0',
    id: orderId,
    source: 'elsewhere',
    type: 'shop.order-placed',
    time: TIME,
    datacontenttype: 'application/json',
    dataschema: 'urn:holdfast:shop.order-placed:2',
  };
  await scene.look(
    `insert into holdfast_outbox (lane, id, written_at, type, attributes, body)
     values (0, nextval('holdfast_lane_0'), now() - make_interval(days => $1), 'shop.order-placed', $2, $3)`,
    [days, JSON.stringify(attributes), Buffer.from(JSON.stringify({ orderId, total: 1 }))],
  );
}

const all = (count: number) => eventually(async () => (handled.length >= count ? [...handled].sort() : undefined));

/** The dead letters once there are so many; a delivery outside a transaction ends a moment after its handler. */
const parked = (bus: Holdfast, count: number): Promise<readonly DeadLetter[]> =>
  eventually(async () => {
    const found = await letters(bus);
    return found.length === count ? found : undefined;
  });

describe.each([true, false])('a message of eight days ago, transactional %p,', (transactional) => {
  it('is parked with its sentence, and those after it are handled', async () => {
    const bus = await start({ transactional, idempotent: true });
    await append('eight days', 8);
    await append('six days', 6);
    await append('today', 0);
    expect(await all(2)).toEqual(['six days', 'today']);
    expect(await parked(bus, 1)).toMatchObject([
      { subscription: NAME, attempts: 0, message: { id: 'eight days' }, error: { code: 'HF_IDEMPOTENT_EXPIRED', message: SENTENCE } },
    ]);
  });

  it('is handled once when somebody redrives it, whose word it is that it is new', async () => {
    const bus = await start({ transactional, idempotent: true });
    await append('eight days', 8);
    const [letter] = await parked(bus, 1);
    expect(await bus.deadLetters.redrive(letter?.id as string, BY)).toEqual({ count: 1 });
    expect(await all(1)).toEqual(['eight days']);
    await append('today', 0);
    expect(await all(2)).toEqual(['eight days', 'today']);
    await parked(bus, 0);
  });

  it.each([
    ["onExpired: 'handle'", { onExpired: 'handle' }],
    ['a longer ttl', { ttl: '9d' }],
    ['a business key', { key: ({ orderId }: OrderPlaced) => orderId }],
  ] as const)('is handled with %s', async (_, idempotent) => {
    const bus = await start({ transactional, idempotent });
    await append('eight days', 8);
    await append('today', 0);
    expect(await all(2)).toEqual(['eight days', 'today']);
    await parked(bus, 0);
  });
});
