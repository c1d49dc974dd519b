// Messages that wait behind one of their key that is not unfinished any more.
import { eventually, letters, openScene, OrderPlaced, type Scene } from '../bad-input/support/scene.js';

let scene: Scene;
const handled: string[] = [];

beforeEach(async () => {
  scene = await openScene();
  handled.length = 0;
});
afterEach(() => scene.close());

async function start(onDeadLetter: 'block' | 'skip', transactional: boolean): Promise<ReturnType<Scene['bus']>> {
  const handler = async ({ orderId }: OrderPlaced) => {
    if (orderId === 'bad') throw new Error('card declined');
    handled.push(orderId);
  };
  const policies = { name: 'billing.charge', transactional, idempotent: true, ordering: 'key', onDeadLetter, retry: 1 } as const;
  const bus = scene.bus().on(OrderPlaced, handler, policies);
  await bus.start();
  return bus;
}

const stored = (state: string) =>
  eventually(async () => (await scene.look('select id from holdfast_delivery where state = $1', [state]))[0]);

describe.each([true, false])('what waits behind a dead letter, transactional %p', (transactional) => {
  it('goes on when the next release says that a dead letter does not block, before anything new of its key', async () => {
    const before = await start('block', transactional);
    await before.bus.publish(new OrderPlaced('bad', 1), { key: 'k' });
    await stored('dead');
    await before.bus.publish(new OrderPlaced('first', 1), { key: 'k' });
    await stored('waiting');
    await before.stop();
    const after = await start('skip', transactional);
    await after.bus.publish(new OrderPlaced('second', 1), { key: 'k' });
    await eventually(async () => (handled.length === 2 ? true : undefined));
    expect(handled).toEqual(['first', 'second']);
    expect(await letters(after)).toHaveLength(1);
  });
});
