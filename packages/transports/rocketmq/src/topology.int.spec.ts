import { invoke } from '@holdfast-internal/embedded-rocketmq';
import { describeWithRocketmq, envelopeOf, quiet, specOf, eventually } from '@holdfast-internal/test-support';
import { silentLogger, type SubscriptionSpec } from '@holdfast/core';
import type { Administer, Position } from './client.port.js';
import { Names } from './names.js';
import { RemotingAdmin } from './remoting-admin.js';
import { eachInScene, type Scene } from './rocketmq-scene.spec.js';
import { settingsFrom } from './settings.js';
import { RocketmqTopology } from './topology.js';

/** Of `RequestCode`. */
const QUERY_POSITION = 14;
const MAKE_GROUP = 200;
const MAKE_TOPIC = 17;

/** Its process ends when it has written the first position of several. */
class DyingAdmin extends RemotingAdmin {
  override async setPositions(group: string, positions: readonly Position[]): Promise<void> {
    await super.setPositions(group, positions.slice(0, 1));
    throw new Error('killed');
  }
}

/** A start that dies while it settles where a group begins. */
async function dieHalfway(scene: Scene, spec: SubscriptionSpec): Promise<void> {
  const settings = settingsFrom({ ...scene.options, queues: 4 });
  const admin = new DyingAdmin(settings);
  const administer: Administer = (work) => work(admin);
  const parts = { administer, settings, logger: silentLogger };
  const topology = new RocketmqTopology({ ...parts, names: new Names(settings, 'scene'), hasStore: true });
  await expect(topology.ensure([spec])).rejects.toThrow('killed');
  admin.end();
}

async function makeTopic(scene: Scene, readQueueNums: string, writeQueueNums: string): Promise<void> {
  const numbers = { readQueueNums, writeQueueNums, perm: '6', topicSysFlag: '0', topicFilterType: 'SINGLE_TAG', order: 'false' };
  const fields = { topic: scene.topicOf(), defaultTopic: 'TBW102', ...numbers, attributes: '+message.type=FIFO' };
  expect((await invoke(scene.area.broker, { code: MAKE_TOPIC, fields })).code).toBe(0);
}

describeWithRocketmq('topics and groups of RocketMQ', () => {
  let scene: Scene;
  eachInScene((opened) => {
    scene = opened;
  });

  const made = () => scene.area.topics(scene.options.prefix);
  const two = specOf('two', { types: ['scene.happened', 'scene.other'] });

  it('are made at the start, once by processes that start at the same time, and those of dead letters only without a store', async () => {
    await Promise.all([0, 1, 2].map(() => scene.transport().start({ subscriptions: [two] })));
    const topics = [scene.topicOf(), scene.topicOf('scene_other')];
    expect(await made()).toEqual(topics);
    expect(await scene.area.groups(scene.options.prefix)).toEqual([scene.groupOf('two')]);
    await scene.transport({}, { hasStore: false }).start({ subscriptions: [two] });
    expect(await made()).toEqual([scene.topicOf('-d_scene-_two'), ...topics]);
  });

  it('that are not there, or not as they are needed, are told, all of them, and nothing is changed', async () => {
    const start = scene.transport({ topology: 'check' }).start({ subscriptions: [two] });
    const problems = [
      `the topic ${scene.topicOf()} is not there`,
      `the topic ${scene.topicOf('scene_other')} is not there`,
      `the group ${scene.groupOf('two')} is not there`,
    ];
    await expect(start).rejects.toMatchObject({ code: 'HF_BROKER_TOPOLOGY', details: { problems } });
    expect(await made()).toEqual([]);
    await scene.transport({ queues: 2 }).start({ subscriptions: [specOf('reader')] });
    const other = scene.transport({ queues: 3 }).start({ subscriptions: [specOf('reader', { ordering: 'key' })] });
    await expect(other).rejects.toMatchObject({
      details: {
        problems: [
          `the topic ${scene.topicOf()} has 2 queues, and rocketmq({ queues }) says 3`,
          expect.stringContaining(
            `the group ${scene.groupOf()} keeps no order (consumeMessageOrderly), and its subscription has ordering: 'key'`,
          ),
        ],
      },
    });
  });

  it('may have more queues to be read than to be written, as long as those are emptied', async () => {
    await makeTopic(scene, '4', '2');
    const { transport, catcher } = await scene.consuming({ queues: 4 });
    expect(await transport.publish([envelopeOf('a')])).toEqual(['confirmed']);
    await eventually(
      () => catcher.texts,
      (texts) => texts.includes('a'),
    );
  });

  it('that have fewer queues to be read than to be written are refused: nobody would get what is in the others', async () => {
    await makeTopic(scene, '2', '4');
    await expect(scene.transport().start({ subscriptions: [specOf('reader')] })).rejects.toMatchObject({
      code: 'HF_BROKER_TOPOLOGY',
      details: { problems: [expect.stringMatching(`^the topic ${scene.topicOf()} has 2 queues to be read and 4 to be written on `)] },
    });
  });

  it('refuse an order over several of them, and take one over several types that share one', async () => {
    const ordered = { ...two, ordering: 'key' } as const;
    await expect(scene.transport().start({ subscriptions: [ordered] })).rejects.toMatchObject({ code: 'HF_CONFIG_INVALID' });
    const shared = `${scene.options.prefix}shared`;
    await scene.transport({ topics: { 'scene.happened': shared, 'scene.other': shared } }).start({ subscriptions: [ordered] });
    expect(await made()).toEqual([shared]);
  });

  it('are made for an event that nobody takes, and not for a command, which is unroutable until its owner comes', async () => {
    const transport = scene.transport();
    await transport.start({ subscriptions: [] });
    const command = envelopeOf('c', { type: 'scene.do', kind: 'command' });
    expect(await transport.publish([envelopeOf('a'), command, envelopeOf('b')])).toEqual(['confirmed', 'unroutable', 'confirmed']);
    expect(await made()).toEqual([scene.topicOf()]);
    await scene.consuming({}, specOf('owner', { types: ['scene.do'] }));
    expect(await transport.publish([command])).toEqual(['confirmed']);
  });

  it('that are not ours to make are not made, and what goes there is unroutable', async () => {
    const transport = scene.transport({ topology: 'check' });
    await transport.start({ subscriptions: [] });
    expect(await transport.publish([envelopeOf('a')])).toEqual(['unroutable']);
    expect(await made()).toEqual([]);
  });

  it('are looked for within the time of a start: a proxy or a name server that is not there is named', async () => {
    const nobody = { endpoint: '127.0.0.1:1', startTimeout: '2s' } as const;
    await expect(scene.transport(nobody).start({ subscriptions: [] })).rejects.toMatchObject({
      code: 'HF_BROKER_UNREACHABLE',
      details: { address: '127.0.0.1:1' },
    });
    const nameless = scene.transport({ nameServer: '127.0.0.1:2', startTimeout: '2s' });
    await expect(nameless.start({ subscriptions: [two] })).rejects.toMatchObject({
      code: 'HF_BROKER_UNREACHABLE',
      details: { address: '127.0.0.1:2' },
    });
  });

  it('begin with what comes from now on also when the process that began died halfway', async () => {
    const spec = specOf('reader');
    const first = scene.transport({ queues: 4 });
    await first.start({ subscriptions: [] });
    expect(await first.publish(Array.from({ length: 40 }, (_, n) => envelopeOf(`old ${n}`)))).not.toContain('unknown');
    await dieHalfway(scene, spec);
    // What it left: it came as far as one queue.
    const place = { topic: scene.topicOf(), consumerGroup: scene.groupOf(), setZeroIfNotFound: 'false' };
    const answers = ['0', '1', '2', '3'].map((queueId) =>
      invoke(scene.area.broker, { code: QUERY_POSITION, fields: { ...place, queueId } }),
    );
    expect((await Promise.all(answers)).filter(({ code }) => code === 0)).toHaveLength(1);
    const { catcher } = await scene.consuming({ queues: 4 }, spec);
    expect(await first.publish([envelopeOf('new')])).toEqual(['confirmed']);
    await eventually(
      () => catcher.texts,
      (texts) => texts.includes('new'),
    );
    await quiet(1000);
    expect(catcher.texts).toEqual(['new']);
  });

  it('that would put a message away after some deliveries are refused, with what to do', async () => {
    const group = scene.groupOf();
    await invoke(scene.area.broker, { code: MAKE_GROUP, body: { groupName: group, consumeEnable: true, retryMaxTimes: 16 } });
    await expect(scene.transport().start({ subscriptions: [specOf('reader')] })).rejects.toMatchObject({
      code: 'HF_BROKER_TOPOLOGY',
      details: { problems: [expect.stringMatching(`^the group ${group} puts a message away in %DLQ%${group} after 16 deliveries`)] },
    });
  });

  it('of replies are removed also when the process stops while they are made, and none are made afterwards', async () => {
    const transport = scene.transport();
    await transport.start({ subscriptions: [] });
    const ended = transport
      .openReplies(
        () => undefined,
        () => undefined,
      )
      .catch(({ name }: Error) => name);
    await scene.leave(transport);
    expect(await ended).toBe('HoldfastError');
    await quiet(1000);
    expect(await scene.area.groups(`${scene.options.prefix}-r_`)).toEqual([]);
    await expect(
      transport.openReplies(
        () => undefined,
        () => undefined,
      ),
    ).rejects.toMatchObject({ code: 'HF_STOPPING' });
  });

  it('of replies are removed with the process, its group at least, without waiting for what it still receives', async () => {
    const transport = scene.transport({ awaitDuration: 10_000, invisibleDuration: 20_000 });
    await transport.start({ subscriptions: [] });
    await transport.openReplies(
      () => undefined,
      () => undefined,
    );
    expect(await scene.area.groups(`${scene.options.prefix}-r_`)).toHaveLength(1);
    const beganMs = performance.now();
    await scene.leave(transport, 20_000);
    expect(performance.now() - beganMs).toBeLessThan(8000);
    // As long as a receive of it would have waited.
    await quiet(10_000);
    expect(await scene.area.groups(`${scene.options.prefix}-r_`)).toEqual([]);
  });
});
