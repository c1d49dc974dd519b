// Handlers that are given up in a statement, whose session lives on for longer than it takes to look at the place again.
import { addressBy } from '@holdfast-internal/test-support';
import { connect, createServer, type Server } from 'node:net';
import { eventually, letters, openScene, OrderPlaced, type Scene } from '../bad-input/support/scene.js';

const RETRY = { attempts: 2, backoff: { strategy: 'fixed', delay: 10 } } as const;
const CANCEL_CODE = 80877102;
const CANCEL_DELAY_MS = 200;

let scene: Scene;
let server: Server;

/** A way to the server on which requests to cancel a statement are late, as they are over a slow network. */
async function openWayWithLateCancels(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  server = createServer((near) => {
    const far = connect(Number(port || 5432), hostname);
    for (const socket of [near, far]) socket.setNoDelay(true).on('error', () => undefined);
    far.pipe(near);
    near.once('data', (first: Buffer) => {
      near.pause();
      const isCancel = first.length === 16 && first.readInt32BE(4) === CANCEL_CODE;
      const pass = () => {
        far.write(first);
        near.pipe(far);
      };
      if (isCancel) setTimeout(pass, CANCEL_DELAY_MS);
      else pass();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return addressBy(url, server.address());
}

beforeEach(async () => {
  scene = await openScene({ way: openWayWithLateCancels });
  await scene.look('create table paid (id text)');
});
afterEach(async () => {
  await scene.close();
  await new Promise((resolve) => server.close(resolve));
});

it.each([1, 10])(
  'a handler that times out in a statement is called as often as it may be, in a batch of at most %d, and those beside it are handled',
  async (batchSize) => {
    const slow: number[] = [];
    const pays = async ({ orderId }: OrderPlaced, { attempt }: { readonly attempt: number }) => {
      if (orderId !== 'slow') return void (await scene.look('insert into paid values ($1)', [orderId]));
      slow.push(attempt);
      await scene.look('select pg_sleep(600)');
    };
    const bus = scene.bus().on(OrderPlaced, pays, {
      name: 'billing.charge',
      transactional: true,
      timeout: '1s',
      batchSize,
      retry: RETRY,
    });
    await bus.start();
    await bus.unitOfWork.run(async () => {
      for (const id of ['slow', 'one']) await bus.bus.publish(new OrderPlaced(id, 1), { key: 'k' });
    });
    const [letter] = await eventually(async () => ((await letters(bus)).length > 0 ? letters(bus) : undefined));
    expect(letter).toMatchObject({ attempts: 2, error: { code: 'HF_HANDLER_TIMEOUT' } });
    // The call within the batch, which is undone as a whole, counts for nobody.
    expect(slow).toEqual(batchSize === 1 ? [1, 2] : [1, 1, 2]);
    await eventually(async () => ((await scene.look('select from paid')).length === 1 ? true : undefined));
  },
);
