import type { Delivery } from '@holdfast/core';
import { DataSource } from 'typeorm';
import { PostgresCursorStore } from '../../../packages/typeorm/src/postgres/outbox/cursor-store.js';
import { eventually, letters, openScene, OrderPlaced, type Scene } from '../bad-input/support/scene.js';

let scene: Scene;
let outside: DataSource;

beforeEach(async () => {
  scene = await openScene();
  const { url } = scene.dataSource.options as { url: string };
  outside = await new DataSource({ type: 'postgres', url, poolSize: 1 }).initialize();
});

afterEach(async () => {
  jest.restoreAllMocks();
  await outside.destroy();
  await scene.close();
});

/** Ends the server's side of the connection with which the next message is taken from memory; how often it did. */
function endConnectionOfNextTake(): () => number {
  const { take } = PostgresCursorStore.prototype;
  let ended = 0;
  jest.spyOn(PostgresCursorStore.prototype, 'take').mockImplementation(async function (this: PostgresCursorStore, tx, cursor, limit) {
    const taken = await take.call(this, tx, cursor, limit);
    if (taken.confirm !== undefined && ended === 0) {
      ended += 1;
      const { processID } = (tx as unknown as { client: { processID: number } }).client;
      await outside.query('select pg_terminate_backend($1)', [processID]);
    }
    return taken;
  });
  return () => ended;
}

it('a message taken over a connection that was dead already has not failed: it comes next, and its first attempt is still its own', async () => {
  const attempts: string[] = [];
  const pay = async ({ orderId }: OrderPlaced, { attempt }: Delivery) => void attempts.push(`${orderId} ${attempt}`);
  const bus = scene.bus().on(OrderPlaced, pay, { name: 'billing.charge', transactional: true, idempotent: true, retry: { attempts: 1 } });
  await bus.start();
  const ended = endConnectionOfNextTake();
  await bus.unitOfWork.run(async () => {
    for (const id of ['one', 'two', 'three']) await bus.bus.publish(new OrderPlaced(id, 1), { key: 'k' });
  });
  await eventually(async () => (attempts.length >= 3 ? true : undefined));
  expect(ended()).toBe(1);
  expect(attempts).toEqual(['one 1', 'two 1', 'three 1']);
  expect(await letters(bus)).toEqual([]);
});
