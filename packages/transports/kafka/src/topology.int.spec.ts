import { describeWithKafka, openBlackHole, quiet, specOf } from '@holdfast-internal/test-support';
import { eachInScene, type Scene } from './kafka-scene.spec.js';

describeWithKafka('topics of Kafka', () => {
  let scene: Scene;
  eachInScene((opened) => {
    scene = opened;
  });

  const made = async () => {
    const topics = await scene.area.as((admin) => admin.listTopics());
    return topics.filter((topic) => topic.startsWith(scene.prefix)).sort();
  };
  const two = specOf('two', { types: ['scene.happened', 'scene.other'] });

  it('are made at the start, those of dead letters only without a store', async () => {
    await scene.transport({ partitions: 3 }).start({ subscriptions: [two] });
    expect(await made()).toEqual([scene.topicOf('scene.happened'), scene.topicOf('scene.other')]);
    await scene.transport({ partitions: 3 }, { hasStore: false }).start({ subscriptions: [two] });
    expect(await made()).toEqual([`${scene.prefix}-dead.scene.two`, scene.topicOf('scene.happened'), scene.topicOf('scene.other')]);
    const { topics } = await scene.area.as(async (admin) => admin.fetchTopicMetadata({ topics: await made() }));
    expect(Object.fromEntries(topics.map(({ name, partitions }) => [name, partitions.length]))).toEqual({
      [`${scene.prefix}-dead.scene.two`]: 1,
      [scene.topicOf('scene.happened')]: 3,
      [scene.topicOf('scene.other')]: 3,
    });
  });

  it('are made once by processes that start at the same time', async () => {
    const transports = Array.from({ length: 4 }, () => scene.transport());
    await Promise.all(transports.map((transport) => transport.start({ subscriptions: [two] })));
    expect(await made()).toHaveLength(2);
  });

  it('that are not there are told, all of them, where they are not ours to make', async () => {
    const start = scene.transport({ topology: 'check' }).start({ subscriptions: [two] });
    await expect(start).rejects.toMatchObject({
      code: 'HF_BROKER_TOPOLOGY',
      details: { problems: ['scene.happened', 'scene.other'].map((type) => `the topic ${scene.topicOf(type)} is not there`) },
    });
    expect(await made()).toEqual([]);
  });

  it.each(['assert', 'check'] as const)(
    'with another number of partitions are refused where one is given (%s), and taken where none is',
    async (topology) => {
      await scene.transport({ partitions: 3 }).start({ subscriptions: [specOf('reader')] });
      const problems = [`the topic ${scene.topicOf()} has 3 partitions, and kafka({ partitions }) says 5`];
      await expect(scene.transport({ partitions: 5, topology }).start({ subscriptions: [specOf('reader')] })).rejects.toMatchObject({
        code: 'HF_BROKER_TOPOLOGY',
        details: { problems },
      });
      await scene.transport({ partitions: undefined, topology }).start({ subscriptions: [specOf('reader')] });
    },
  );

  it('are made through another broker when the first one that is named hangs', async () => {
    const { address } = scene.area;
    const hung = await openBlackHole(`http://${address}`);
    hung.hold(true);
    try {
      const brokers = [new URL(hung.url).host, address];
      await scene.consuming({ brokers, requestTimeout: '1s', startTimeout: '20s' });
      expect(await made()).toEqual([scene.topicOf()]);
    } finally {
      await hung.close();
    }
  });

  it('that cannot be made are told with the reason of the broker', async () => {
    const start = scene.transport({ replicationFactor: 7 }).start({ subscriptions: [specOf('reader')] });
    await expect(start).rejects.toMatchObject({
      code: 'HF_BROKER_TOPOLOGY',
      details: { problems: [expect.stringContaining(`the topic ${scene.topicOf()} cannot be made: `)] },
    });
  });

  it('of replies are not read by a process that stops while it begins to, nor afterwards', async () => {
    const transport = scene.transport();
    await transport.start({ subscriptions: [] });
    const ended = transport
      .openReplies(
        () => undefined,
        () => undefined,
      )
      .catch(({ name }: Error) => name);
    await transport.close(4000);
    expect(await Promise.race([ended, quiet(5000)])).toBe('HoldfastError');
    await expect(
      transport.openReplies(
        () => undefined,
        () => undefined,
      ),
    ).rejects.toMatchObject({ code: 'HF_STOPPING' });
  });

  it('of several types do not keep an order, and are refused where one is asked for', async () => {
    const start = scene.transport().start({ subscriptions: [{ ...two, ordering: 'key' }] });
    await expect(start).rejects.toMatchObject({
      code: 'HF_CONFIG_INVALID',
      message: expect.stringContaining(`subscription "two": ordering: 'key' needs all its types in one topic`),
    });
    const topics = { 'scene.happened': `${scene.prefix}one`, 'scene.other': `${scene.prefix}one` };
    await scene.transport({ topics }).start({ subscriptions: [{ ...two, ordering: 'key' }] });
    expect(await made()).toEqual([`${scene.prefix}one`]);
  });
});
