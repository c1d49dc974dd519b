import { describeWithKafka, envelopeOf, specOf, eventually } from '@holdfast-internal/test-support';
import { eachInScene, type Scene } from './kafka-scene.spec.js';

describeWithKafka('publishing to Kafka', () => {
  let scene: Scene;
  eachInScene((opened) => {
    scene = opened;
  });

  it('keeps a key in one partition and in order, and tells of each message that it is there', async () => {
    const transport = scene.transport({ partitions: 4 });
    await transport.start({ subscriptions: [] });
    const texts = Array.from({ length: 60 }, (_, n) => `${n}`);
    const outcomes = await transport.publish(texts.map((text) => envelopeOf(text, { key: `key ${Number(text) % 5}` })));
    expect(outcomes).toEqual(texts.map(() => 'confirmed'));
    const records = await scene.records();
    expect(records).toHaveLength(60);
    for (let key = 0; key < 5; key += 1) {
      const ofKey = records.filter(({ text }) => Number(text) % 5 === key);
      expect(new Set(ofKey.map(({ partition }) => partition)).size).toBe(1);
      expect(ofKey.map(({ text }) => text)).toEqual(texts.filter((text) => Number(text) % 5 === key));
    }
  });

  it('makes the topic of an event, and not that of a command, which nobody takes', async () => {
    const transport = scene.transport();
    await transport.start({ subscriptions: [] });
    const unconfirmed = scene.hear('message:unconfirmed');
    const command = envelopeOf('c', { type: 'scene.do', kind: 'command' });
    expect(await transport.publish([envelopeOf('a'), command, envelopeOf('b')])).toEqual(['confirmed', 'unroutable', 'confirmed']);
    expect(unconfirmed).toMatchObject([{ id: 'c', outcome: 'unroutable' }]);
    const topics = await scene.area.as((admin) => admin.listTopics());
    expect(topics.filter((topic) => topic.startsWith(scene.prefix))).toEqual([scene.topicOf()]);
    // Its owner has come.
    await scene.consuming({}, specOf('owner', { types: ['scene.do'] }));
    expect(await transport.publish([command])).toEqual(['confirmed']);
  });

  it('makes no topic where topics are not its to make', async () => {
    const transport = scene.transport({ topology: 'check' });
    await transport.start({ subscriptions: [] });
    expect(await transport.publish([envelopeOf('a')])).toEqual(['unroutable']);
    expect(await scene.area.as((admin) => admin.listTopics())).not.toContain(scene.topicOf());
  });

  it('makes a topic again that was deleted, and publishes what was unknown until then when it is asked again', async () => {
    const transport = scene.transport();
    await transport.start({ subscriptions: [] });
    expect(await transport.publish([envelopeOf('a')])).toEqual(['confirmed']);
    await scene.deleteTopic();
    expect(await transport.publish([envelopeOf('b')])).toEqual(['unknown']);
    expect(await transport.publish([envelopeOf('b')])).toEqual(['confirmed']);
    expect((await scene.records()).map(({ text }) => text)).toEqual(['b']);
  });

  it('appends nothing of a key behind a message that is refused, also when they are sent in several requests', async () => {
    const configEntries = [{ name: 'max.message.bytes', value: '200000' }];
    await scene.area.as((admin) => admin.createTopics({ topics: [{ topic: scene.topicOf(), numPartitions: 2, configEntries }] }));
    const transport = scene.transport();
    await transport.start({ subscriptions: [] });
    // What is sent while nobody knows the topic yet goes together.
    expect(await transport.publish([envelopeOf('first', { key: 'k' })])).toEqual(['confirmed']);
    const large = envelopeOf('large', { body: Buffer.alloc(300_000, 'x'), key: 'k' });
    const behind = Array.from({ length: 1900 }, (_, n) => envelopeOf(`behind ${n}`, { key: 'k' }));
    expect(await transport.publish([large, ...behind])).toEqual(['rejected', ...behind.map(() => 'unknown')]);
    expect(await transport.publish([envelopeOf('next', { key: 'k' })])).toEqual(['confirmed']);
    expect((await scene.records()).map(({ text }) => text)).toEqual(['first', 'next']);
  });

  it('rejects the message that is too large, and confirms those that were sent together with it', async () => {
    const transport = scene.transport();
    await transport.start({ subscriptions: [] });
    await transport.publish([envelopeOf('first')]);
    await scene.area.as((admin) =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [{ type: 2, name: scene.topicOf(), configEntries: [{ name: 'max.message.bytes', value: '20000' }] }],
      }),
    );
    const large = envelopeOf('large', { body: Buffer.alloc(50_000, 'x'), key: 'k' });
    // A broker follows a change of its settings in its own time.
    await eventually(
      () => transport.publish([{ ...large, id: 'probe' }]),
      ([outcome]) => outcome === 'rejected',
    );
    const batch = [envelopeOf('a', { key: 'j' }), large, envelopeOf('behind', { key: 'k' }), envelopeOf('b')];
    expect(await transport.publish(batch)).toEqual(['confirmed', 'rejected', 'unknown', 'confirmed']);
    expect(await transport.publish([envelopeOf('c')])).toEqual(['confirmed']);
    const texts = (await scene.records()).map(({ text }) => text).filter((text) => text !== 'probe');
    expect([...new Set(texts)].sort()).toEqual(['a', 'b', 'c', 'first']);
  });

  it('cuts what is more than one request may have', async () => {
    const transport = scene.transport();
    await transport.start({ subscriptions: [] });
    const batch = Array.from({ length: 8 }, (_, n) => envelopeOf(`${n}`, { body: Buffer.alloc(400_000, `${n}`), key: 'k' }));
    const given = scene.hear('broker:disconnected');
    expect(await transport.publish(batch)).toEqual(batch.map(() => 'confirmed'));
    // None was refused, after which they would be sent one by one.
    expect(given).toEqual([]);
    expect((await scene.records()).map(({ text }) => text[0])).toEqual(batch.map(({ id }) => id));
  });

  it('is refused where nobody answers, within its time', async () => {
    const transport = scene.transport({ brokers: ['127.0.0.1:1'], startTimeout: '4s', sessionTimeout: '2s' });
    await expect(transport.start({ subscriptions: [] })).rejects.toMatchObject({ code: 'HF_BROKER_UNREACHABLE' });
    expect(transport.health).toMatchObject({ status: 'down' });
    await expect(transport.publish([envelopeOf('a')])).rejects.toMatchObject({ code: 'HF_NOT_STARTED' });
  });
});
