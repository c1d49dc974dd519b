import { createRequire } from 'node:module';
import { silentLogger, VirtualTime } from '@holdfast/core';
import type { Admin, Kafka, ProducerBatch } from 'kafkajs';
import type { ReceivedRecord } from './client.port.js';
import { KafkajsAdmin } from './kafkajs-admin.js';
import { KafkajsConsumer } from './kafkajs-consumer.js';
import { checkKafkajs, type Cluster, type MadeRequest, withInside } from './kafkajs-inside.js';
import { KafkajsProducer, remembering } from './kafkajs-producer.js';
import type { Members } from './members.js';
import { settingsFrom } from './settings.js';
import { settledPosition } from './settled-position.js';

const load = createRequire(__filename);
const { createErrorFromCode } = load('kafkajs/src/protocol/error') as { readonly createErrorFromCode: (code: number) => Error };
/** Kafka's numbers for refusals of a commit. */
const REFUSALS = { ILLEGAL_GENERATION: 22, UNKNOWN_MEMBER_ID: 25 } as const;

/** How an answer is read. */
interface Reading {
  readonly decode: (payload: Buffer) => Promise<unknown>;
  readonly parse: (answer: unknown) => Promise<unknown>;
}

/** A consumer of kafkajs that does nothing but tell what it is told to tell. */
class Puppet {
  readonly handlers = new Map<string, (event: object) => void>();
  eachBatch: (payload: object) => Promise<void> = async () => undefined;
  readonly events = { GROUP_JOIN: 'join', HEARTBEAT: 'heartbeat', CRASH: 'crash' };
  isGone = false;
  on = (name: string, handler: (event: object) => void) => void this.handlers.set(name, handler);
  connect = async () => undefined;
  subscribe = async () => undefined;
  run = async ({ eachBatch }: { readonly eachBatch: (payload: object) => Promise<void> }) => {
    this.eachBatch = eachBatch;
    this.tell('join', { memberId: 'm', memberAssignment: { t: [0, 2] } });
  };
  /** What is asked of the group, by the member that asks. */
  readonly commits: unknown[] = [];
  commit = async (): Promise<void> => undefined;
  disconnect = async () => {
    this.isGone = true;
  };

  tell(name: string, payload: object): void {
    this.handlers.get(name)?.({ payload });
  }
}

async function joined(received: (records: readonly ReceivedRecord[]) => void = () => undefined) {
  const time = new VirtualTime();
  const puppet = new Puppet();
  const memberships: unknown[] = [];
  const settings = settingsFrom({ brokers: ['a:1'] });
  let generation = 0;
  const members: Pick<Members, 'of'> = {
    of: (group, memberId) => {
      generation += 1;
      const name = `${memberId} in ${group}, ${generation}`;
      return {
        commit: (topics) => {
          puppet.commits.push([name, topics]);
          return puppet.commit();
        },
      };
    },
  };
  const consumer = new KafkajsConsumer(
    { consumer: () => puppet } as unknown as Kafka,
    { group: 'g', topics: ['t'], joined: (membership) => memberships.push(membership), received },
    { settings, scheduler: time, clock: time, logger: silentLogger, clientId: 'c', members },
  );
  let lost: unknown = 'not lost';
  void consumer.lost.then((reason) => {
    lost = reason;
  });
  await consumer.join();
  return { time, puppet, memberships, consumer, lost: () => lost };
}

describe('the driver kafkajs', () => {
  it('is told the partitions that its group gives it', async () => {
    const { memberships } = await joined();
    expect(memberships).toEqual([{ memberId: 'm', places: [0, 2].map((partition) => ({ topic: 't', partition })) }]);
  });

  it('is lost when a consumer crashes, which does not come back by itself', async () => {
    const { time, puppet, lost } = await joined();
    puppet.tell('crash', { error: new TypeError('x'), restart: false });
    await time.advance(0);
    expect(lost()).toBeInstanceOf(TypeError);
  });

  it('is lost when its group does not know it any more, and not when the group has only gone on', async () => {
    const { time, puppet, consumer, lost } = await joined();
    const refusing = (type: keyof typeof REFUSALS) => {
      puppet.commit = () => Promise.reject(createErrorFromCode(REFUSALS[type]));
      return consumer.commit([{ topic: 't', partition: 0, offset: 1n, note: undefined }]);
    };
    await expect(refusing('ILLEGAL_GENERATION')).rejects.toMatchObject({ type: 'ILLEGAL_GENERATION' });
    await time.advance(0);
    expect(lost()).toBe('not lost');
    await expect(refusing('UNKNOWN_MEMBER_ID')).rejects.toMatchObject({ type: 'UNKNOWN_MEMBER_ID' });
    await time.advance(0);
    expect(lost()).toMatchObject({ type: 'UNKNOWN_MEMBER_ID' });
  });

  it('commits once and as who it was then: what failed is not tried again for somebody whose partitions are others by now', async () => {
    const { time, puppet, consumer } = await joined();
    puppet.commit = () => Promise.reject(Object.assign(new Error('again'), { retriable: true }));
    const positions = [
      { topic: 't', partition: 0, offset: 7n, note: 'note' },
      { topic: 'u', partition: 1, offset: 8n },
      { topic: 't', partition: 2, offset: 9n },
    ];
    await expect(consumer.commit(positions)).rejects.toThrow('again');
    puppet.commit = async () => undefined;
    puppet.tell('join', { memberId: 'm', memberAssignment: { t: [2] } });
    await time.advance('1m');
    await consumer.commit(positions.slice(2));
    const ofT = [
      { partition: 0, offset: '7', metadata: expect.stringMatching(/^note/) },
      { partition: 2, offset: '9', metadata: null },
    ];
    expect(puppet.commits).toEqual([
      [
        'm in g, 1',
        [
          { topic: 't', partitions: ofT },
          { topic: 'u', partitions: [{ partition: 1, offset: '8', metadata: null }] },
        ],
      ],
      ['m in g, 2', [{ topic: 't', partitions: ofT.slice(1) }]],
    ]);
  });

  it('is lost when no heartbeat was answered for four sessions and a request, and not while one is', async () => {
    const { time, puppet, lost } = await joined();
    for (let n = 0; n < 20; n += 1) {
      await time.advance('5s');
      puppet.tell('heartbeat', {});
    }
    expect(lost()).toBe('not lost');
    await time.advance('49s');
    expect(lost()).toBe('not lost');
    await time.advance('15s');
    expect(lost()).toMatchObject({ code: 'HF_BROKER_UNANSWERED' });
  });

  it('never lets an error reach kafkajs, which would deliver again for ever or never again', async () => {
    const { time, puppet, lost } = await joined(() => {
      throw new TypeError('a bug');
    });
    await expect(puppet.eachBatch({ batch: { topic: 't', partition: 0, messages: [] } })).resolves.toBeUndefined();
    await time.advance(0);
    expect(lost()).toMatchObject({ message: 'a bug' });
  });

  it('reads headers that are there twice, or have no value', async () => {
    const received: ReceivedRecord[] = [];
    const { puppet, lost } = await joined((records) => void received.push(...records));
    const headers = { once: Buffer.from('a'), twice: [Buffer.from('b'), Buffer.from('c')], none: null, some: [null, Buffer.from('d')] };
    const message = { offset: '7', key: null, value: null, timestamp: '0', headers };
    await puppet.eachBatch({ batch: { topic: 't', partition: 0, messages: [message] } });
    expect(received).toEqual([expect.objectContaining({ offset: 7n, at: new Date(0) })]);
    expect({ ...received[0]?.headers }).toEqual({ once: headers.once, twice: headers.twice, some: [Buffer.from('d')] });
    expect(lost()).toBe('not lost');
  });

  it('reads headers that kafkajs has put together with what objects have of themselves', async () => {
    const received: ReceivedRecord[] = [];
    const { puppet, lost } = await joined((records) => void received.push(...records));
    const headers = Object.fromEntries(
      ['toString', '__proto__'].map((name) => [name, [({} as Record<string, unknown>)[name], Buffer.from('a')]]),
    );
    const message = { offset: '7', key: null, value: null, timestamp: '0', headers };
    await puppet.eachBatch({ batch: { topic: 't', partition: 0, messages: [message] } });
    expect(lost()).toBe('not lost');
    expect(Object.entries(received[0]?.headers ?? {})).toEqual(['toString', '__proto__'].map((name) => [name, [Buffer.from('a')]]));
  });

  it('lets go of a consumer once, also of one that does not end', async () => {
    const { time, puppet, consumer, lost } = await joined();
    puppet.disconnect = () => new Promise<never>(() => undefined) as never;
    const ended = consumer.end();
    expect(consumer.end()).toBe(ended);
    await time.advance('10s');
    await ended;
    expect(lost()).toMatchObject({ message: 'the consumer was ended' });
  });

  it('calls nothing sent that no broker has answered for, as when a leader moves to one that has answered already', async () => {
    const time = new VirtualTime();
    const partitionMetadata = [0, 1].map((partitionId) => ({ partitionId, leader: 1 }) as never);
    const sendBatch = async ({ topicMessages }: ProducerBatch) => {
      const choose = remembering();
      for (const { topic, messages } of topicMessages ?? []) for (const message of messages) choose({ topic, partitionMetadata, message });
      return answered.map((partition) => ({ topicName: 't', partition, errorCode: 0 }));
    };
    let answered = [0, 1];
    const open = () =>
      new KafkajsProducer({ producer: () => ({ sendBatch }) } as unknown as Kafka, {
        settings: settingsFrom({ brokers: ['a:1'] }),
        scheduler: time,
        clock: time,
        logger: silentLogger,
        clientId: 'c',
      });
    const records = Array.from({ length: 20 }, () => ({ topic: 't', key: null, value: Buffer.from('x'), headers: {} }));
    await open().send(records);
    answered = [0];
    const producer = open();
    await expect(producer.send(records)).rejects.toMatchObject({ code: 'HF_BROKER_UNANSWERED' });
    await expect(producer.lost).resolves.toMatchObject({ code: 'HF_BROKER_UNANSWERED' });
  });

  it('lets go once more of a consumer that was given up while it was opened', async () => {
    const { time, puppet, consumer, memberships } = await joined();
    await consumer.end();
    puppet.isGone = false;
    puppet.tell('join', { memberId: 'n', memberAssignment: { t: [1] } });
    await time.advance(0);
    expect([puppet.isGone, memberships.length]).toEqual([true, 1]);
  });

  it('keeps a record where it was first, however often it is tried', () => {
    const choose = remembering();
    const partitionMetadata = [0, 1, 2, 3].map((partitionId) => ({ partitionId, leader: 1 }) as never);
    const messages = Array.from({ length: 20 }, () => ({ value: 'x' }));
    const where = () => messages.map((message) => choose({ topic: 't', partitionMetadata, message }));
    const first = where();
    expect(new Set(first).size).toBe(4);
    expect(where()).toEqual(first);
  });

  it('is the version that is worked inside, or refused with the one that is there', () => {
    checkKafkajs();
    expect(() => checkKafkajs(() => ({ version: '2.3.0' }))).toThrow(/kafkajs is 2.3.0, and this transport works inside 2.2.4/);
  });

  it('shows what each thing has inside that it makes, and refuses one whose inside is not seen', () => {
    const create = Symbol('private:Kafka:createCluster');
    const clusters = [{}, {}];
    const kafka = { [create]: () => clusters.shift() } as unknown as Kafka & Record<symbol, () => object>;
    const [first, second] = clusters;
    const inside = withInside(kafka);
    expect(inside(() => kafka[create]?.())).toEqual([first, first]);
    expect(inside(() => kafka[create]?.())[1]).toBe(second);
    expect(() => inside(() => ({}))).toThrow(expect.objectContaining({ code: 'HF_INVARIANT' }));
  });

  it('asks where a group stands once transactions are settled, and refuses a broker that is too old to wait for them', async () => {
    const asked: unknown[] = [];
    const clusterOf = (version: number) =>
      ({
        findGroupCoordinator: async () => ({
          lookupRequest: (_: number, { protocol }: { protocol: (supported: object) => unknown }) => protocol({ version }),
          connectionPool: {
            send: async ({ request, response }: { request: MadeRequest['request']; response: Reading }) => {
              asked.push([request.apiKey, request.apiVersion, (await request.encode()).buffer.toString('hex')]);
              return response.parse(await response.decode(answer));
            },
          },
        }),
      }) as unknown as Cluster;
    const ask = (version = 7) => settledPosition(clusterOf(version), 'g', { topic: 't', partition: 2 });
    // As the definition of the protocol has it: throttle time, one topic with one partition, its offset, epoch and note, no error.
    const partition = (code: number) => `00000002 0000000000000007 ffffffff 056e6f7465 ${code.toString(16).padStart(4, '0')} 00`;
    const answerOf = (code: number) => Buffer.from(`00 00000000 02 0274 02 ${partition(code)} 00 0000 00`.replaceAll(' ', ''), 'hex');
    let answer = answerOf(0);
    expect(await ask()).toEqual({ partition: 2, offset: '7', metadata: 'note', errorCode: 0 });
    expect(asked).toEqual([[9, 7, '00 0267 02 0274 02 00000002 00 01 00'.replaceAll(' ', '')]]);
    answer = answerOf(88);
    await expect(ask()).rejects.toMatchObject({ type: 'UNSTABLE_OFFSET_COMMIT' });
    await expect(ask(6)).rejects.toMatchObject({
      code: 'HF_CAPABILITY_UNSUPPORTED',
      message: expect.stringContaining('Kafka 2.5 or newer is needed'),
    });
  });

  it('takes a negative offset for none, or for the oldest record where kafkajs has found that what it was to read is gone', async () => {
    const offsets = ['7', '-1', '-2'].map((offset, partition) => ({ partition, offset, metadata: partition === 0 ? 'note' : null }));
    const admin = { fetchOffsets: async () => [{ topic: 't', partitions: offsets }] } as unknown as Admin;
    const positions = await new KafkajsAdmin(
      admin,
      (_request, answer) => answer,
      async () => undefined,
    ).positions(
      'g',
      [0, 1, 2].map((partition) => ({ topic: 't', partition })),
    );
    expect(positions).toEqual([
      { topic: 't', partition: 0, offset: 7n, note: 'note' },
      { topic: 't', partition: 2, offset: 0n },
    ]);
  });
});
