import { describeWithRocketmq, envelopeOf, specOf } from '@holdfast-internal/test-support';
import { eachInScene, eventually, type Scene } from './rocketmq-scene.spec.js';

describeWithRocketmq('topics and groups of RocketMQ', () => {
  jest.setTimeout(90_000);
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

  it('of replies are removed with the process, its group at least', async () => {
    const transport = scene.transport();
    await transport.start({ subscriptions: [] });
    await transport.openReplies(() => undefined);
    expect(await scene.area.groups(`${scene.options.prefix}-r_`)).toHaveLength(1);
    await scene.leave(transport);
    await eventually(
      () => scene.area.groups(`${scene.options.prefix}-r_`),
      ({ length }) => length === 0,
    );
  });
});
