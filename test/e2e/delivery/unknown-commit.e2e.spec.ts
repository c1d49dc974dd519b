// COMMITs whose outcome this process is not told: the place of the message in the store tells it afterwards.
import type { Holdfast } from '@holdfast/core';
import { loseAnswerToCommitOf } from '../support/lost-answer.js';
import { eventually, letters, openScene, OrderPlaced, type Scene } from '../bad-input/support/scene.js';

const RETRY = { attempts: 2, backoff: { strategy: 'fixed', delay: 10 } } as const;
/** Long enough for all that is not slow on purpose, on a busy machine too. */
const SHORT = { timeout: '6s' } as const;

let scene: Scene;
/** Orders, one for each call of their handler. */
let handled: string[];

beforeEach(async () => {
  handled = [];
  scene = await openScene();
  await scene.look('create table slow_commit (id text)');
  await scene.look('create table paid (id text)');
  await scene.look('create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return null; end $$');
  await scene.look(
    'create constraint trigger slow after insert on slow_commit deferrable initially deferred for each row execute function slow()',
  );
});
afterEach(async () => {
  jest.restoreAllMocks();
  await scene.close();
});

/** Publishes these orders in one transaction, so that they are there together. */
async function place(bus: Holdfast, ...ids: readonly string[]): Promise<void> {
  await bus.unitOfWork.run(async () => {
    for (const id of ids) await bus.bus.publish(new OrderPlaced(id, 1), { key: 'k' });
  });
}

const paid = async () => (await scene.look<{ id: string }>('select id from paid order by id')).map(({ id }) => id);
const pay = (id: string) => scene.look('insert into paid values ($1)', [id]);
const slowly = () => scene.look(`insert into slow_commit values ('x')`);
const callsOf = (id: string) => handled.filter((each) => each === id).length;

describe.each([1, 10])('in a batch of at most %d', (batchSize) => {
  it('a message whose COMMIT always takes longer than its unit may is tried as often as it may be, and parked', async () => {
    const pays = async ({ orderId }: OrderPlaced) => {
      handled.push(orderId);
      await pay(orderId);
      if (orderId === 'slow') await slowly();
    };
    const bus = scene.bus().on(OrderPlaced, pays, { name: 'billing.charge', transactional: SHORT, batchSize, retry: RETRY });
    await bus.start();
    await place(bus, 'one', 'slow', 'two');
    const [letter] = await eventually(async () =>
      (await paid()).length === 2 && (await letters(bus)).length > 0 ? letters(bus) : undefined,
    );
    expect(letter).toMatchObject({ attempts: 2, error: { code: 'HF_UOW_TIMEOUT' } });
    expect(await paid()).toEqual(['one', 'two']);
    expect(callsOf('slow')).toBe(batchSize === 1 ? 2 : 3);
  });

  it('messages whose COMMIT came through, which this process was not told, have not failed and are not handled again', async () => {
    const pays = async ({ orderId }: OrderPlaced) => {
      handled.push(orderId);
      await pay(orderId);
    };
    const bus = scene.bus().on(OrderPlaced, pays, { name: 'billing.charge', transactional: true, batchSize, retry: RETRY });
    await bus.start();
    const lost = loseAnswerToCommitOf('paid');
    await place(bus, 'one', 'two', 'three');
    await eventually(async () => ((await paid()).length >= 3 ? true : undefined));
    await place(bus, 'last');
    await eventually(async () => ((await paid()).includes('last') ? true : undefined));
    expect(lost()).toBe(1);
    expect(handled).toEqual(['one', 'two', 'three', 'last']);
    expect(await scene.look('select 1 from holdfast_delivery')).toEqual([]);
  });
});

it('a handler that lets through the unknown COMMIT of a unit of its own has failed: it is tried as often as it may be, and parked', async () => {
  const bus = scene.bus();
  const pays = async ({ orderId }: OrderPlaced) => {
    handled.push(orderId);
    await pay(orderId);
    if (orderId === 'slow') await bus.unitOfWork.run({ propagation: 'REQUIRES_NEW', ...SHORT }, slowly);
  };
  bus.on(OrderPlaced, pays, { name: 'billing.charge', transactional: true, retry: RETRY });
  await bus.start();
  await place(bus, 'slow', 'two');
  const [letter] = await eventually(async () => ((await paid()).length > 0 && (await letters(bus)).length > 0 ? letters(bus) : undefined));
  expect(letter).toMatchObject({ attempts: 2, error: { code: 'HF_UOW_COMMIT_UNKNOWN' } });
  expect(await paid()).toEqual(['two']);
  expect(callsOf('slow')).toBe(2);
});
