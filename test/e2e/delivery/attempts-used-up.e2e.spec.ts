// Messages whose stored attempts have reached the limit before they are taken.
import { eventually, letters, openScene, OrderPlaced, type Scene } from '../bad-input/support/scene.js';

const NAME = 'billing.charge';
const LIMIT = 2;
const LATER = { attempts: 5, backoff: { strategy: 'fixed', delay: '10m' } } as const;

let scene: Scene;
const handled: string[] = [];

beforeEach(async () => {
  scene = await openScene();
  handled.length = 0;
});
afterEach(() => scene.close());

/** A process whose handler refuses o1 once; what is published then is stored or waits when it is gone. */
async function failOnce(transactional: boolean): Promise<void> {
  const refuse = async () => {
    throw Object.assign(new Error('card declined'), { code: 'E_CARD' });
  };
  const bus = scene.bus().on(OrderPlaced, refuse, { name: NAME, transactional, idempotent: true, ordering: 'key', retry: LATER });
  await bus.start();
  await bus.bus.publish(new OrderPlaced('o1', 1), { key: 'k' });
  await stored('retry');
  await bus.bus.publish(new OrderPlaced('o2', 1), { key: 'k' });
  await stored('waiting');
  await bus.stop();
}

const stored = (state: string) =>
  eventually(async () => (await scene.look('select id from holdfast_delivery where state = $1', [state]))[0]);

/** The next release allows fewer attempts. */
async function startLowered(transactional: boolean): Promise<ReturnType<Scene['bus']>> {
  const handler = async ({ orderId }: OrderPlaced) => void handled.push(orderId);
  const bus = scene
    .bus()
    .on(OrderPlaced, handler, { name: NAME, transactional, idempotent: true, ordering: 'key', onDeadLetter: 'skip', retry: LIMIT });
  await bus.start();
  return bus;
}

describe.each([true, false])('a message with its attempts used up, transactional %p', (transactional) => {
  it('since the limit was lowered is a dead letter with the failure it had, and what waits behind it goes on', async () => {
    await failOnce(transactional);
    await scene.look(`update holdfast_delivery set attempts = 3, next_attempt_at = now() where state = 'retry'`);
    const bus = await startLowered(transactional);
    await eventually(async () => (handled.length > 0 ? true : undefined));
    expect(handled).toEqual(['o2']);
    expect(await letters(bus)).toMatchObject([{ attempts: 3, error: { code: 'E_CARD', message: 'card declined' } }]);
  });

  it('by processes that died of it is a dead letter that says so, and what waits behind it goes on', async () => {
    await failOnce(transactional);
    await scene.look(`update holdfast_delivery set attempts = $1, next_attempt_at = now(), is_suspect = true where state = 'retry'`, [
      LIMIT,
    ]);
    const bus = await startLowered(transactional);
    await eventually(async () => (handled.length > 0 ? true : undefined));
    expect(handled).toEqual(['o2']);
    expect(await letters(bus)).toMatchObject([{ attempts: LIMIT, error: { code: 'HF_HANDLER_UNSETTLED_KILLED' } }]);
  });
});
