// Consume, transform, produce in Kafka transactions: every view is counted once, whatever fails.
import {
  createTestDatabase,
  describeWithKafka,
  describeWithOwnKafka,
  EmbeddedKafka,
  type KafkaArea,
  kafkaAreaAt,
  KafkaProxy,
  type Loss,
  openKafka,
  pause,
  type TestDatabase,
  kafkaDriver,
  eventually,
} from '@holdfast-internal/test-support';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';
import { numbers } from '../support/shop.js';
import { PageCounted, Pages } from './support/pages.js';

describeWithKafka('Kafka transactions', () => {
  let area: KafkaArea;
  let pages: Pages;
  beforeAll(async () => {
    area = await openKafka();
  });
  afterAll(() => area?.clear());
  beforeEach(() => {
    pages = new Pages(area);
  });
  afterEach(() => pages.close());

  it('commit what a handler publishes with the offsets it consumed, one by one and in batches', async () => {
    const one = await pages.counting();
    await pages.view(20);
    expect(await pages.counted(20)).toEqual(numbers(20));
    await pages.untilCommitted(20);
    await pages.leave(one);
    await pages.counting(undefined, { batchSize: 50 });
    await pages.view(100, { from: 21 });
    expect(await pages.counted(120)).toEqual(numbers(120));
    await pages.untilCommitted(120);
  });

  it('a handler that fails publishes nothing, and what it is given up for goes to the dead letters in the transaction of its offset', async () => {
    await pages.counting(async ({ n }, { attempt }, app) => {
      await pages.count(app, n, attempt);
      if (n === 3 || (n === 5 && attempt === 1)) throw new Error(`cannot count ${n}`);
    });
    await pages.view(6, { key: () => 'one page' });
    expect(await pages.counted(5)).toEqual([1, 2, 4, 5, 6]);
    const [dead] = await pages.records(pages.deadLetters, 1);
    expect(dead?.text).toBe('{"n":3}');
    expect(dead?.headers).toMatchObject({ 'holdfast-dead-attempts': '3', 'holdfast-dead-reason': 'cannot count 3' });
    await pages.untilCommitted(6);
  });

  it('a dead letter that its topic does not take is put away without its data, and what comes behind it is handled', async () => {
    const configEntries = [{ name: 'max.message.bytes', value: '4000' }];
    await pages.area.as((admin) => admin.createTopics({ topics: [{ topic: pages.deadLetters, numPartitions: 1, configEntries }] }));
    await pages.counting(async ({ n }, { attempt }, app) => {
      await pages.count(app, n, attempt);
      if (n === 2) throw new Error(`cannot count ${n}${'!'.repeat(5000)}`);
    });
    await pages.view(3, { key: () => 'one page' });
    expect(await pages.counted(2)).toEqual([1, 3]);
    const [dead] = await pages.records(pages.deadLetters, 1);
    expect(dead?.headers).toMatchObject({
      'holdfast-dead-attempts': '3',
      'holdfast-dead-left-out': expect.stringMatching(/^7 bytes of data/),
    });
    await pages.untilCommitted(3);
  });

  it.each([1, 8])(
    'a message with which too many processes have ended is given up, and what comes behind it is handled (batches of %i)',
    async (batchSize) => {
      pages.partitions = 1;
      await pages.leave(await pages.counting(undefined, { batchSize }));
      await pages.view(3);
      // As a process leaves it that has had the first message in hand after twenty others.
      const consumer = area.client.consumer({ groupId: pages.group });
      const joined = new Promise((resolve) => consumer.on('consumer.group_join', resolve));
      await consumer.connect();
      await consumer.subscribe({ topic: pages.viewed, fromBeginning: true });
      await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: async () => undefined });
      await joined;
      await consumer.commitOffsets([
        { topic: pages.viewed, partition: 0, offset: '0', metadata: 'in hand, returned 20 times, until 1 of 1, n/1\0' },
      ]);
      await consumer.disconnect();
      const called: number[] = [];
      await pages.counting(
        async ({ n }, { attempt }, app) => {
          called.push(n);
          await pages.count(app, n, attempt);
        },
        { batchSize },
      );
      expect(await pages.counted(2)).toEqual([2, 3]);
      expect(called).not.toContain(1);
      const [dead] = await pages.records(pages.deadLetters, 1);
      expect(dead?.headers).toMatchObject({ 'holdfast-dead-code': 'HF_HANDLER_UNSETTLED_OFTEN', 'holdfast-dead-offset': '0' });
    },
  );

  it('a process that stops in order while a message waits for its next try is not counted', async () => {
    pages.partitions = 1;
    const fail = () => Promise.reject(new Error('not yet'));
    const app = await pages.counting(fail, { retry: { attempts: 3, backoff: { delay: '60s', jitter: 'none' } } });
    await pages.view(1);
    await eventually(
      () => pages.note(),
      (note) => note.startsWith('in hand'),
    );
    await pages.leave(app);
    expect(await pages.note()).not.toMatch('in hand');
    await pages.counting();
    expect(await pages.counted(1)).toEqual([1]);
  });

  it('a batch with one bad message is undone and handled one by one, so that only the bad one pays', async () => {
    pages.partitions = 1;
    const attempts = new Map<number, number>();
    await pages.counting(
      async ({ n }, { attempt }, app) => {
        attempts.set(n, (attempts.get(n) ?? 0) + 1);
        await pages.count(app, n, attempt);
        if (n === 4) throw new Error('bad');
      },
      { batchSize: 20 },
      // A session that ended while the machine stalled would be another call.
      pages.app({}, { sessionTimeout: '30s', startTimeout: '60s' }),
    );
    await pages.view(8);
    expect(await pages.counted(7)).toEqual([1, 2, 3, 5, 6, 7, 8]);
    expect((await pages.records(pages.deadLetters, 1)).map(({ text }) => text)).toEqual(['{"n":4}']);
    expect(Math.max(...[...attempts].filter(([n]) => n !== 4).map(([, times]) => times))).toBe(2);
  });

  it('what nobody can read goes to the dead letters in the transaction of its batch', async () => {
    pages.partitions = 1;
    await pages.counting(undefined, { batchSize: 10 });
    const producer = area.client.producer();
    await producer.connect();
    await producer.send({ topic: pages.topicOf('page.viewed'), messages: [{ key: 'k', value: 'no event' }] });
    await producer.disconnect();
    await pages.view(3);
    expect(await pages.counted(3)).toEqual(numbers(3));
    const [dead] = await pages.records(pages.deadLetters, 1);
    expect(dead).toMatchObject({
      text: 'no event',
      headers: { 'holdfast-dead-attempts': '0', 'holdfast-dead-code': 'HF_MESSAGE_FOREIGN' },
    });
    await pages.untilCommitted(4);
  });

  it('what a handler publishes that the broker will not have is a failure of that handler, and nothing else of it is kept', async () => {
    const app = pages.app({ limits: { bodyBytes: 4_000_000 } });
    await pages.counting(
      async ({ n }, { attempt }) => {
        await pages.count(app, n, attempt);
        if (n === 2) await app.bus.publish(Object.assign(new PageCounted(n, attempt), { filling: 'x'.repeat(2_000_000) }));
      },
      {},
      app,
    );
    await pages.view(3);
    expect(await pages.counted(2)).toEqual([1, 3]);
    const [dead] = await pages.records(pages.deadLetters, 1);
    expect(dead?.headers['holdfast-dead-code']).toBe('HF_PUBLISH_FAILED');
  });

  it('begin where a transaction under another id ends that is under way when they take over, not where the group stood before it', async () => {
    pages.partitions = 1;
    await pages.leave(await pages.counting());
    await pages.view(5);
    const producer = area.client.producer({ transactionalId: `${pages.prefix}other`, idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    const transaction = await producer.transaction();
    const passed = { topic: pages.viewed, partitions: [{ partition: 0, offset: '3' }] };
    await transaction.sendOffsets({ consumerGroupId: pages.group, topics: [passed] });
    await pages.counting();
    await pause(500);
    expect(await pages.committed()).toBe(0);
    await transaction.commit();
    await producer.disconnect();
    expect(await pages.counted(2)).toEqual([4, 5]);
  });

  it.each<Loss>(['answer', 'request'])('count each view once when the %s of a commit is lost', async (loss) => {
    const proxy = await KafkaProxy.before(area.address);
    const hooks: string[] = [];
    const app = pages.app({}, { brokers: [proxy.address] });
    await pages.counting(
      async ({ n }, { attempt }) => {
        await pages.count(app, n, attempt);
        app.unitOfWork.afterCommit(() => void hooks.push(`committed ${n}`));
        app.unitOfWork.afterRollback(() => void hooks.push('undone'));
      },
      {},
      app,
    );
    // Of the first transaction in each partition, which notes what is in hand; and of those of handlers.
    for (const from of [1, 31]) {
      proxy.losses.push(loss, loss, loss);
      await pages.view(30, { from });
      expect(await pages.counted(from + 29)).toEqual(numbers(from + 29));
      expect(proxy.losses).toEqual([]);
    }
    expect(proxy.lost).toBe(6);
    // What became of a commit is found out before anything else is done.
    expect(hooks.filter((hook) => hook !== 'undone').length).toBe(60);
    // librdkafka asks again by itself.
    expect(hooks.filter((hook) => hook === 'undone').length).toBe(loss === 'answer' || kafkaDriver() === 'confluent' ? 0 : 3);
    await pages.leave(app);
    await proxy.close();
  });
});

describeWithKafka('Kafka transactions of a service that has a store', () => {
  let area: KafkaArea;
  let pages: Pages;
  let database: TestDatabase;
  let dataSource: DataSource;
  beforeAll(async () => {
    [area, database] = await Promise.all([openKafka(), createTestDatabase()]);
    dataSource = await new DataSource({ type: 'postgres', url: database.url, poolSize: 8 }).initialize();
    await dataSource.query('create table stray (n int)');
    pages = new Pages(area);
  });
  afterAll(async () => {
    await pages?.close();
    await dataSource?.destroy();
    await Promise.all([database?.drop(), area?.clear()]);
  });

  it('are the same, leave nothing in the database, refuse a unit of work inside, and warn of a write that they do not undo', async () => {
    const refused = new Set<string>();
    const app = pages.app({ store: typeorm({ dataSource }) });
    await pages.counting(
      async ({ n }, { attempt }) => {
        await app.unitOfWork.run(async () => undefined).catch((error: { code: string }) => refused.add(error.code));
        if (n === 2) await dataSource.query('insert into stray values (2)');
        await pages.count(app, n, attempt);
        if (n === 3) throw new Error('no');
      },
      { batchSize: 2 },
      app,
    );
    await pages.view(5);
    expect(await pages.counted(4)).toEqual([1, 2, 4, 5]);
    expect((await pages.records(pages.deadLetters, 1)).map(({ text }) => text)).toEqual(['{"n":3}']);
    await pages.untilCommitted(5);
    expect([...refused]).toEqual(['HF_UOW_KAFKA_DATABASE']);
    expect((await app.deadLetters.list()).items).toEqual([]);
    const [rows] = await dataSource.query<{ inbox: number; outbox: number }[]>(
      'select (select count(*)::int from holdfast_inbox) inbox, (select count(*)::int from holdfast_outbox) outbox',
    );
    expect(rows).toEqual({ inbox: 0, outbox: 0 });
    expect(pages.warnings).toContainEqual(expect.stringMatching(/^a message is published after a write, and outside any transaction/));
  });
});

describeWithOwnKafka('Kafka transactions on a broker that is killed', () => {
  let broker: EmbeddedKafka;
  let pages: Pages;
  beforeAll(async () => {
    broker = await EmbeddedKafka.start();
    pages = new Pages(kafkaAreaAt(broker.address));
  });
  afterAll(async () => {
    await pages?.close();
    await broker?.remove();
  });

  it('under load count each view once', async () => {
    await pages.counting(undefined, { batchSize: 5 });
    await pages.counting(undefined, { batchSize: 5 });
    await pages.view(300);
    await pause(500);
    await broker.kill();
    await broker.start();
    expect(await pages.counted(300)).toEqual(numbers(300));
    await pages.untilCommitted(300);
  });
});
