import { deflateSync, gzipSync } from 'node:zlib';
import { invoke } from '@holdfast-internal/embedded-rocketmq';
import { Catcher, describeWithRocketmq, envelopeOf, quiet, specOf, textOf, eventually } from '@holdfast-internal/test-support';
import { eachInScene, type Scene } from './rocketmq-scene.spec.js';

/** A promise to be settled by hand. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Of `RequestCode`, and of the flags of a message: its body is packed. */
const SEND = 10;
const PACKED = '1';

/** What a client of the older protocol sends when a body is large. */
function sendPacked(scene: Scene, body: Buffer): ReturnType<typeof invoke> {
  const where = { producerGroup: 'older', topic: scene.topicOf(), defaultTopic: 'TBW102', defaultTopicQueueNums: '1', queueId: '0' };
  const fields = { ...where, sysFlag: PACKED, bornTimestamp: `${Date.now()}`, flag: '0', reconsumeTimes: '0', properties: '' };
  return invoke(scene.area.broker, { code: SEND, fields, body });
}

/** Waits until it has caught so many. */
function caught(catcher: Catcher, count: number): Promise<readonly string[]> {
  return eventually(
    () => catcher.texts,
    ({ length }) => length >= count,
  );
}

describeWithRocketmq('consuming from RocketMQ', () => {
  let scene: Scene;
  eachInScene((opened) => {
    scene = opened;
  });

  const publish = async (...texts: readonly string[]) => {
    const [transport] = scene.transports;
    expect(await transport?.publish(texts.map((text) => envelopeOf(text, { key: 'k' })))).toEqual(texts.map(() => 'confirmed'));
  };

  /** For what must not come again: a busy machine is silent for seconds. */
  const longMs = () => Math.max(8000, scene.options.invisibleDuration);

  it('begins with what comes after the start, also before anybody reads, and a second process that starts skips nothing', async () => {
    const spec = specOf('reader');
    const first = scene.transport();
    await first.start({ subscriptions: [] });
    await publish('before');
    await first.start({ subscriptions: [spec] });
    await publish('between');
    const second = scene.transport();
    await second.start({ subscriptions: [spec] });
    const catcher = new Catcher(1);
    await second.subscribe(spec, catcher);
    await publish('after');
    await caught(catcher, 2);
    await quiet();
    expect([...catcher.texts].sort()).toEqual(['after', 'between']);
  });

  it('warns of a time in hand that is too short for the broker to keep what comes for a process that has just died', async () => {
    await scene.transport({ invisibleDuration: 9999 }).start({ subscriptions: [] });
    expect(scene.warnings).toEqual([expect.stringContaining('invisibleDuration }) is below ten seconds')]);
    await scene.transport({ invisibleDuration: 10_000 }).start({ subscriptions: [] });
    expect(scene.warnings).toHaveLength(1);
  });

  it("begins with the oldest message where that is wanted (from: 'earliest')", async () => {
    const first = scene.transport();
    await first.start({ subscriptions: [] });
    await publish('oldest', 'next');
    const { catcher } = await scene.consuming({}, specOf('reader', { from: 'earliest', ordering: 'key' }));
    expect(await caught(catcher, 2)).toEqual(['oldest', 'next']);
  });

  it.each(['none', 'key'] as const)(
    'keeps what is in work for longer than its time, so that nobody else gets it (%s)',
    async (ordering) => {
      const spec = specOf('reader', { ordering });
      const slow = new Catcher(1);
      const late = gate();
      slow.work = () => late.opened;
      const invisibleDuration = longMs();
      await scene.consuming({ invisibleDuration }, spec, slow);
      const { catcher } = await scene.consuming({ invisibleDuration }, spec);
      // Either of the two may be given it.
      catcher.work = () => late.opened;
      await publish('slow');
      const both = () => [...slow.texts, ...catcher.texts];
      await eventually(both, ({ length }) => length === 1);
      await quiet(2 * invisibleDuration);
      late.open();
      await quiet();
      expect(both()).toEqual(['slow']);
    },
  );

  it('what it keeps comes once, also when several were received together', async () => {
    const invisibleDuration = longMs();
    const transport = scene.transport({ invisibleDuration });
    await transport.start({ subscriptions: [specOf('reader')] });
    const texts = Array.from({ length: 12 }, (_, n) => `${n}`);
    await publish(...texts);
    const catcher = new Catcher(1);
    const late = gate();
    catcher.work = () => late.opened;
    await transport.subscribe(specOf('reader', { concurrency: texts.length }), catcher);
    await caught(catcher, texts.length);
    const keptMs = 2 * invisibleDuration;
    await quiet(keptMs);
    late.open();
    // What the broker knows nothing of comes again when its time is over, and some seconds later.
    await quiet(keptMs + 4000);
    expect([...catcher.texts].sort()).toEqual([...texts].sort());
  });

  it('reads what clients of the older protocol have packed, and parks what cannot be unpacked as it is, with what came beside it', async () => {
    const spec = specOf('reader', { concurrency: 1 });
    const transport = scene.transport();
    await transport.start({ subscriptions: [spec] });
    for (const body of [deflateSync('packed'), Buffer.from('broken'), gzipSync('zipped')])
      expect(await sendPacked(scene, body)).toMatchObject({ code: 0 });
    await publish('plain');
    const catcher = new Catcher(1);
    await transport.subscribe(spec, catcher);
    await caught(catcher, 4);
    expect([...catcher.texts].sort()).toEqual(['broken', 'packed', 'plain', 'zipped']);
    expect(transport.health.status).toBe('up');
  });

  it('says in its health that the broker refuses to give it anything', async () => {
    const { transport } = await scene.consuming({ awaitDuration: '100ms', invisibleDuration: '200ms' });
    const health = await eventually(
      () => transport.health,
      ({ status }) => status === 'down',
    );
    expect(health.problem).toMatch(/^the subscription reader: .*invisible/i);
  });

  it.each(['none', 'key'] as const)('gives what it has in hand to another process when it stops (ordering: %s)', async (ordering) => {
    const stuck = new Catcher(1);
    const late = gate();
    stuck.work = () => late.opened;
    const spec = specOf('reader', { ordering, concurrency: 1 });
    const { transport } = await scene.consuming({}, spec, stuck);
    await publish('a', 'b', 'c');
    const [held] = await caught(stuck, 1);
    await scene.leave(transport, 600);
    const { catcher } = await scene.consuming({}, spec);
    await eventually(
      () => [...new Set(catcher.texts)].sort(),
      (texts) => texts.join() === 'a,b,c',
    );
    late.open();
    if (ordering === 'key') expect([...new Set(catcher.texts)]).toEqual(['a', 'b', 'c']);
    // In a group that keeps an order RocketMQ takes the first repeat for a first time.
    else expect(catcher.caught.find((message) => textOf(message) === held)?.isRedelivery).toBe(true);
  });

  it('receives nothing while it is paused, and everything once and in order when it is resumed', async () => {
    const catcher = new Catcher(5);
    catcher.isPaused = true;
    await scene.consuming({ invisibleDuration: longMs() }, specOf('reader', { ordering: 'key', batchSize: 5 }), catcher);
    const texts = Array.from({ length: 60 }, (_, n) => `${n}`);
    await publish(...texts);
    await quiet(1000);
    expect(catcher.caught).toEqual([]);
    catcher.pause(false);
    await caught(catcher, texts.length);
    expect(catcher.texts).toEqual(texts);
  });

  it('passes over the types of a shared topic that it does not take, also in structured mode', async () => {
    const shared = `${scene.options.prefix}shared`;
    const topics = { 'scene.happened': shared, 'scene.other': shared };
    const { transport, catcher } = await scene.consuming({ topics }, specOf('reader', { ordering: 'key' }));
    await transport.publish(['other', 'happened'].map((text) => envelopeOf(text, { key: 'k', type: `scene.${text}` })));
    const properties = new Map([['CE_datacontenttype', 'application/cloudevents+json']]);
    const events = ['scene.other', 'scene.happened', 'scene.other'].map((type) => JSON.stringify({ specversion: '1.0', type }));
    const bodies = [...events, 'nobody can read it'].map((text) => Buffer.from(text));
    await scene.send(
      bodies.map((body) => ({ body, properties })),
      shared,
    );
    expect([...(await caught(catcher, 3))].sort()).toEqual(['happened', 'nobody can read it', events[1]].sort());
  });
});
