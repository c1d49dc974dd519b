import { EmbeddedPostgres } from '@holdfast-internal/test-support';
import { answered, crashSession } from './support/crash-session.js';
import { type LaneScene, openScene } from './support/lane-scene.js';
import { TimeMachine } from './support/time-machine.js';

let server: EmbeddedPostgres;
let scene: LaneScene;
let made = 0;

beforeAll(async () => {
  server = await EmbeddedPostgres.start({ fsync: false });
});

afterAll(() => server.remove());

beforeEach(async () => {
  made += 1;
  scene = await openScene(await server.createDatabase(`fence_${made}`));
});

afterEach(() => scene.close());

async function restart(): Promise<void> {
  await server.kill();
  await server.start();
  await answered(scene.url);
}

const identity = () =>
  scene.query<{ v: string }>(
    `select virtualtransaction as v from pg_locks where relation = 'holdfast_lane_0'::regclass and mode = 'RowExclusiveLock'`,
  );

describe.each([
  { crash: 'a crash of the server', strike: restart },
  { crash: 'a crash of one session', strike: () => crashSession(scene.url) },
])('the fence over $crash', ({ strike }) => {
  it('keeps the hole of a prepared transaction, whose identity is another one afterwards', async () => {
    const writer = await scene.inFlight('slow');
    await scene.publish('quick');
    expect(await scene.take()).toEqual(['quick']);
    await writer.prepare(`prepared-${made}`);
    expect(await scene.fence()).toBe(0);
    const before = await identity();

    await strike();

    const after = await identity();
    expect([before.length, after.length]).toEqual([1, 1]);
    expect(after).not.toEqual(before);
    expect(await scene.fence()).toBe(0);
    expect((await scene.cursor()).holes).toBe('{[1,2)}');
    await scene.query(`commit prepared 'prepared-${made}'`);
    expect(await scene.take()).toEqual(['slow']);
  });

  it('writes off the hole of a transaction that the crash ended', async () => {
    const writer = await scene.inFlight('slow');
    await scene.publish('quick');
    expect(await scene.take()).toEqual(['quick']);
    expect(await scene.fence()).toBe(0);
    await strike();
    expect(await scene.fence()).toBe(1);
    expect((await scene.cursor()).holes).toBe('{}');
    await writer.rollback();
  });
});

describe('the fence over a fail-over to an older state', () => {
  it('forgets what it watched: the same id is given again to a transaction that lives', async () => {
    const machine = new TimeMachine(server);
    await scene.publish('before');
    expect(await scene.take()).toEqual(['before']);
    await machine.remember();
    await answered(scene.url);

    const lost = await scene.inFlight('lost');
    await scene.publish('lost as well');
    expect(await scene.take()).toEqual(['lost as well']);
    expect(await scene.fence()).toBe(0);
    await machine.goBack();
    await lost.rollback();
    await answered(scene.url);
    await scene.store.upkeep.raiseSequences();

    expect((await scene.cursor()).position).toBe(1);
    // The restart counts transactions anew; a stranger makes sure that the writer is not taken for one from before.
    const strangers = await Promise.all([scene.inFlight(), scene.inFlight(), scene.inFlight()]);
    const writer = await scene.inFlight('slow');
    await scene.publish('quick');
    expect(await scene.take()).toEqual(['quick']);
    expect(await scene.fence()).toBe(0);
    await writer.commit();
    expect(await scene.take()).toEqual(['slow']);
    await Promise.all(strangers.map((one) => one.rollback()));
  });
});
