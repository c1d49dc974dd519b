import { Catcher, describeWithKafka, envelopeOf, quiet, specOf, eventually } from '@holdfast-internal/test-support';
import type { HandOver, Incoming, Intake } from '@holdfast/core';
import { eachInScene, type Scene } from './kafka-scene.spec.js';

/** A promise to be settled by hand. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Waits until it has caught so many. */
function caught(catcher: Catcher, count: number): Promise<readonly string[]> {
  return eventually(
    () => catcher.texts,
    ({ length }) => length >= count,
  );
}

/** Why it is given up. */
const reason = (message: Incoming) => ({
  deadLetter: {
    subscription: 'reader',
    attempts: 3,
    at: new Date(0),
    failure: {
      code: 'E_BAD',
      category: 'permanent',
      message: `no ${String(Buffer.from(message.body)).slice(0, 3)}`,
      fingerprint: 'f',
      stack: undefined,
    } as never,
  },
});

/** Gives up what is bad. */
class Refusing extends Catcher {
  override async handle(intake: Intake): Promise<HandOver> {
    const { messages } = await intake.take(undefined as never, 1);
    for (const message of messages) {
      this.caught.push(message);
      await intake.settle(messages, Buffer.from(message.body).toString().startsWith('bad') ? reason(message) : 'ack');
    }
    return 'worked';
  }
}

describeWithKafka('consuming from Kafka', () => {
  let scene: Scene;
  eachInScene((opened) => {
    scene = opened;
  });

  const publish = async (...texts: readonly string[]) => {
    const [transport] = scene.transports;
    expect(await transport?.publish(texts.map((text) => envelopeOf(text, { key: text })))).toEqual(texts.map(() => 'confirmed'));
  };

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
    expect(catcher.caught.map(({ isRedelivery }) => isRedelivery)).toEqual([false, false]);
  });

  it("begins with the oldest record where that is wanted (from: 'earliest')", async () => {
    const first = scene.transport();
    await first.start({ subscriptions: [] });
    await publish('oldest');
    const { catcher } = await scene.consuming({}, specOf('reader', { from: 'earliest' }));
    expect(await caught(catcher, 1)).toEqual(['oldest']);
  });

  it('goes on where it was after a clean stop, with nothing twice and nothing suspect', async () => {
    const { transport, catcher } = await scene.consuming();
    await publish('a', 'b', 'c');
    await caught(catcher, 3);
    const publisher = scene.transport();
    await publisher.start({ subscriptions: [] });
    await scene.leave(transport);
    await publish('d', 'e');
    const next = await scene.consuming();
    await caught(next.catcher, 2);
    await quiet();
    expect([...next.catcher.texts].sort()).toEqual(['d', 'e']);
    expect(next.catcher.caught.some(({ isRedelivery }) => isRedelivery)).toBe(false);
  });

  it('hands over again what was in work when its process ended, as suspect, and what it says of it afterwards does nothing', async () => {
    const stuck = new Catcher(1);
    const late = gate();
    stuck.work = () => late.opened;
    const { transport } = await scene.consuming({ partitions: 1 }, specOf('reader', { concurrency: 2 }), stuck);
    await publish('a', 'b', 'c', 'd');
    await caught(stuck, 2);
    await scene.leave(transport, 600);
    const { catcher } = await scene.consuming({ partitions: 1 }, specOf('reader', { concurrency: 2 }), new Suspicious());
    await caught(catcher, 4);
    late.open();
    await quiet();
    // As many as could have been in work.
    expect(catcher.caught.map(({ isRedelivery }) => isRedelivery)).toEqual([true, true, false, false]);
    expect((catcher as Suspicious).suspects).toEqual(['a', 'b']);
    await eventually(
      () => scene.committed(),
      (offset) => offset === 4,
    );
  });

  it('gives partitions to a process that comes, and what is in work in another one is handed over again', async () => {
    const slow = new Catcher(1);
    const late = gate();
    const entered = gate();
    slow.work = async ({ body }) => {
      if (!Buffer.from(body).toString().startsWith('held')) return;
      entered.open();
      await late.opened;
    };
    const spec = specOf('reader', { ordering: 'key', concurrency: 4 });
    await scene.consuming({ partitions: 2 }, spec, slow);
    // One for each partition, and what follows in it.
    await scene.produce(
      [0, 1].flatMap((partition) => [
        { partition, value: `held ${partition}` },
        { partition, value: `next ${partition}` },
      ]),
    );
    await entered.opened;
    await caught(slow, 2);
    const { catcher } = await scene.consuming({ partitions: 2 }, spec);
    // The other partition stays where it is, and so does its message.
    expect((await caught(catcher, 2)).map((text) => text.slice(0, 4))).toEqual(['held', 'next']);
    expect(slow.texts.sort()).toEqual(['held 0', 'held 1']);
    late.open();
    await eventually(
      () => scene.committed(),
      (offset) => offset === 4,
    );
    await quiet();
    expect(slow.texts).toHaveLength(3);
    expect(catcher.texts).toHaveLength(2);
  });

  it('keeps its partitions while a handler takes longer than a session, and other partitions do not wait', async () => {
    const catcher = new Catcher(1);
    const late = gate();
    catcher.work = async ({ body }) => {
      if (Buffer.from(body).toString() === 'slow') await late.opened;
    };
    // A busy machine may be silent for a second.
    const sessionTimeout = Math.max(4000, scene.area.sessionMs);
    await scene.consuming({ sessionTimeout }, specOf('reader', { ordering: 'key' }), catcher);
    const overMs = performance.now() + 2.5 * sessionTimeout;
    const interruptions = scene.hear('subscription:interrupted');
    await scene.produce([{ partition: 0, value: 'slow' }]);
    await caught(catcher, 1);
    let count = 1;
    for (; performance.now() < overMs; count += 1) {
      await scene.produce([{ partition: 1, value: `${count}` }]);
      await caught(catcher, count + 1);
      await quiet(100);
    }
    late.open();
    await eventually(
      () => scene.committed(),
      (offset) => offset === count,
    );
    expect(catcher.texts.filter((text) => text === 'slow')).toHaveLength(1);
    expect(interruptions).toEqual([]);
  });

  it('hands over nothing while it is paused, and everything once and in order when it is resumed, however much came meanwhile', async () => {
    const catcher = new Catcher(20);
    catcher.isPaused = true;
    const options = { partitions: 1, sessionTimeout: Math.max(10_000, scene.area.sessionMs) };
    const { transport } = await scene.consuming(options, specOf('reader', { ordering: 'key', batchSize: 20 }), catcher);
    const texts = Array.from({ length: 6000 }, (_, n) => `${n}`);
    await transport.publish(texts.map((text) => envelopeOf(text, { key: 'k', body: Buffer.from(text.padEnd(500)) })));
    await quiet(1500);
    expect(catcher.caught).toEqual([]);
    catcher.pause(false);
    await caught(catcher, texts.length);
    expect(catcher.texts.map((text) => text.trim())).toEqual(texts);
    await eventually(
      () => scene.committed(),
      (offset) => offset === texts.length,
    );
  });

  /** A subscription that is away while ten records come, of which the first ones are deleted. */
  const missing = async (deleted: number) => {
    const { transport } = await scene.consuming({ partitions: 1 });
    await scene.leave(transport);
    await scene.produce(Array.from({ length: 10 }, (_, n) => ({ value: `${n}` })));
    const partitions = [{ partition: 0, offset: `${deleted}` }];
    await scene.area.as(async (admin) => {
      await admin.fetchTopicMetadata({ topics: [scene.topicOf()] });
      await admin.deleteTopicRecords({ topic: scene.topicOf(), partitions });
    });
  };
  const told = () => scene.warnings.filter((warning) => /were deleted before they were read/.test(warning));

  it('reads on with the oldest record that is left when those that are next were deleted, and says so', async () => {
    await missing(6);
    const { catcher } = await scene.consuming({ partitions: 1 });
    expect(await caught(catcher, 4)).toEqual(['6', '7', '8', '9']);
    expect(told()).toHaveLength(1);
    await eventually(
      () => scene.committed(),
      (offset) => offset === 10,
    );
  });

  it('is not taken for new when all that it had not read was deleted, and it is away again', async () => {
    await missing(10);
    const { transport } = await scene.consuming({ partitions: 1 });
    await eventually(told, ({ length }) => length === 1);
    await scene.leave(transport);
    await scene.produce([{ value: 'next' }]);
    const { catcher } = await scene.consuming({ partitions: 1 });
    expect(await caught(catcher, 1)).toEqual(['next']);
  });

  it('reads a partition that was added since from its beginning, also where others read when it starts', async () => {
    const { catcher: one } = await scene.consuming({ partitions: 1 });
    await scene.area.as((admin) => admin.createPartitions({ topicPartitions: [{ topic: scene.topicOf(), count: 2 }] }));
    await scene.produce([{ value: 'added', partition: 1 }]);
    const { catcher: other } = await scene.consuming({ partitions: undefined });
    await eventually(
      () => [...one.texts, ...other.texts],
      (texts) => texts.includes('added'),
    );
  });

  it('is made anew when its topic is deleted under it, and reads the new one from its beginning', async () => {
    const { catcher } = await scene.consuming({ partitions: 1 });
    await publish('a', 'a', 'a', 'a', 'a');
    await caught(catcher, 5);
    await eventually(
      () => scene.committed(),
      (offset) => offset === 5,
    );
    await scene.deleteTopic();
    await eventually(
      () => scene.transports[0]?.publish([envelopeOf('b')]),
      (outcomes) => outcomes?.[0] === 'confirmed',
    );
    await eventually(
      () => catcher.texts,
      (texts) => texts.includes('b'),
    );
  });

  it('puts a dead letter into its topic, as it came and with the reason, and goes on', async () => {
    const { catcher } = await scene.consuming({ partitions: 1 }, specOf('reader', { id: undefined, concurrency: 1 }), new Refusing(1));
    await scene.produce([{ key: 'k', value: 'bad', headers: { own: 'yes' } }, { value: 'good' }]);
    expect(await caught(catcher, 2)).toEqual(['bad', 'good']);
    const topic = `${scene.prefix}-dead.scene.reader`;
    const letters = await scene.records(topic);
    expect(letters.map(({ text }) => text)).toEqual(['bad']);
    expect(letters[0]?.headers).toMatchObject({
      own: 'yes',
      'holdfast-dead-address': scene.topicOf(),
      'holdfast-dead-offset': '0',
      'holdfast-dead-attempts': '3',
      'holdfast-dead-code': 'E_BAD',
      'holdfast-dead-reason': 'no bad',
    });
  });

  it('puts a dead letter that its topic does not take away without its data, with the place where it is, and goes on', async () => {
    const topic = `${scene.prefix}-dead.scene.reader`;
    const configEntries = [{ name: 'max.message.bytes', value: '4000' }];
    await scene.area.as((admin) => admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries }] }));
    const { catcher } = await scene.consuming({ partitions: 1 }, specOf('reader', { id: undefined, concurrency: 1 }), new Refusing(1));
    await scene.produce([{ key: 'k', value: `bad${'x'.repeat(50_000)}`, headers: { ce_id: '7', own: 'yes' } }, { value: 'good' }]);
    expect(await caught(catcher, 2)).toHaveLength(2);
    await eventually(
      () => scene.committed(),
      (offset) => offset === 2,
    );
    const letters = await scene.records(topic);
    expect(letters).toHaveLength(1);
    expect(letters[0]?.headers).toMatchObject({
      ce_id: '7',
      'holdfast-dead-topic': scene.topicOf(),
      'holdfast-dead-offset': '0',
      'holdfast-dead-reason': 'no bad',
      'holdfast-dead-left-out': expect.stringMatching(/^50003 bytes of data/),
    });
    expect(letters[0]?.headers).not.toHaveProperty('own');
  });

  it('passes over the types of a shared topic that it does not take', async () => {
    const topics = { 'scene.happened': `${scene.prefix}shared`, 'scene.other': `${scene.prefix}shared` };
    const { transport, catcher } = await scene.consuming({ topics });
    const both = await scene.consuming({ topics }, specOf('both', { types: Object.keys(topics), ordering: 'key' }));
    const batch = ['a', 'b', 'c', 'd'].map((text, n) =>
      envelopeOf(text, { key: 'k', type: n % 2 === 0 ? 'scene.other' : 'scene.happened' }),
    );
    await transport.publish(batch);
    expect(await caught(both.catcher, 4)).toEqual(['a', 'b', 'c', 'd']);
    expect(await caught(catcher, 2)).toEqual(['b', 'd']);
    await eventually(
      () => scene.committed('reader', `${scene.prefix}shared`),
      (offset) => offset === 4,
    );
  });

  it('passes over the types of a shared topic that it does not take in structured mode as well', async () => {
    const shared = `${scene.prefix}shared`;
    const topics = { 'scene.happened': shared, 'scene.other': shared };
    const { catcher } = await scene.consuming({ topics });
    const headers = { 'content-type': 'application/cloudevents+json' };
    const events = ['scene.other', 'scene.happened', 'scene.other'].map((type) => JSON.stringify({ specversion: '1.0', type }));
    await scene.produce(
      [...events, 'nobody can read it'].map((value) => ({ key: 'k', value, headers })),
      shared,
    );
    expect(await caught(catcher, 2)).toEqual([events[1], 'nobody can read it']);
    await eventually(
      () => scene.committed('reader', shared),
      (offset) => offset === 4,
    );
  });

  it('is given what it reads while an older version of the service reads less', async () => {
    const old = await scene.consuming({ partitions: 2 });
    const spec = specOf('reader', { types: ['scene.happened', 'scene.added'] });
    const { catcher } = await scene.consuming({ partitions: 2 }, spec);
    await scene.produce(
      [0, 1].map((partition) => ({ partition, value: `added ${partition}` })),
      scene.topicOf('scene.added'),
    );
    await scene.produce([0, 1].map((partition) => ({ partition, value: `known ${partition}` })));
    await eventually(
      () => [...old.catcher.texts, ...catcher.texts].sort(),
      (texts) => texts.join() === 'added 0,added 1,known 0,known 1',
    );
    expect(old.catcher.texts.filter((text) => text.startsWith('added'))).toEqual([]);
  });
});

/** Takes what is suspect by itself, as the engine does, and notes it. */
class Suspicious extends Catcher {
  readonly suspects: string[] = [];

  constructor() {
    super(1);
  }

  override async handle(intake: Intake): Promise<HandOver> {
    const { messages, isSuspect } = await intake.take(undefined as never, 1);
    if (isSuspect) this.suspects.push(...messages.map(({ body }) => Buffer.from(body).toString()));
    return super.handle(intake);
  }
}
