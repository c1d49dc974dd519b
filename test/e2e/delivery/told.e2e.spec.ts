// What the events tell of one message on its way, and of units with and without an end.
import { ears, eventually } from '@holdfast-internal/test-support';
import { openScene, OrderPlaced, type Scene } from '../bad-input/support/scene.js';

const hear = ears();

let scene: Scene;
beforeEach(async () => {
  scene = await openScene();
});
afterEach(() => scene.close());

it('a start, a unit with two messages, their deliveries, and a unit that is rolled back are each told once, with their facts', async () => {
  const [started, written, committed] = [hear('node:started'), hear('outbox:written'), hear('unit:committed')];
  const [rolledBack, deliveries] = [hear('unit:rolled-back'), hear('delivery:started')];
  const bus = scene.bus().on(OrderPlaced, () => undefined, { name: 'billing.charge', retry: 2, idempotent: true });
  await bus.start();
  expect(started).toEqual([{ service: 'shop', node: expect.stringMatching(/^[0-9a-f-]{36}$/) }]);
  expect([written, committed]).toEqual([[], []]);

  const refs = await bus.unitOfWork.run(async () => [
    await bus.bus.publish(new OrderPlaced('o1', 1), { key: 'k' }),
    await bus.bus.publish(new OrderPlaced('o2', 1), { key: 'k' }),
  ]);
  expect(written).toEqual([{ dataSource: 'default', count: 2, lanes: [expect.any(Number)] }]);
  expect(committed[0]).toEqual({ dataSource: 'default', durationMs: expect.any(Number), messages: 2 });
  await eventually(
    () => deliveries,
    ({ length }) => length >= refs.length,
  );
  const facts = { source: 'shop', type: 'shop.order-placed', key: 'k', subscription: 'billing.charge', attempt: 1, isRedelivery: false };
  expect([...deliveries].sort((one, other) => one.id.localeCompare(other.id))).toEqual(
    refs.map(({ id }) => ({ id, ...facts })).sort((one, other) => one.id.localeCompare(other.id)),
  );

  const error = new Error('no');
  const refused = bus.unitOfWork.run(async () => {
    await bus.bus.publish(new OrderPlaced('o3', 1));
    throw error;
  });
  await expect(refused).rejects.toBe(error);
  expect(rolledBack).toEqual([{ dataSource: 'default', durationMs: expect.any(Number), error }]);
  expect(written).toHaveLength(1);
});
