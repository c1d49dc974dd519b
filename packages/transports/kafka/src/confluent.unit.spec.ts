import { silentLogger, VirtualTime } from '@holdfast/core';
import type { Membership, ReceivedRecord } from './client.port.js';
import { ConfluentAdmin } from './confluent-admin.js';
import { clientConfig } from './confluent-config.js';
import { type ConfluentParts, connected, disconnected } from './confluent-connection.js';
import { ConfluentConsumer, type ConsumerListeners } from './confluent-consumer.js';
import { GIVEN, memberConfig, TAKEN } from './confluent-group.js';
import {
  confluentLibrary,
  type ConfluentLibrary,
  type NativeAdmin,
  type NativeConsumer,
  type NativeError,
  type NativeProducer,
  type NativeRecord,
} from './confluent-library.js';
import { listen, produce } from './confluent-producer.js';
import { settingsFrom } from './settings.js';
import { whileEnding } from './while-ending.js';

/** A consumer of librdkafka that gives what it is told to give. */
class Puppet {
  readonly listeners = new Map<string, ((told: object) => void)[]>();
  readonly calls: string[] = [];
  asked: ConsumerListeners | undefined;
  fetched: readonly NativeRecord[] = [];
  isLost = false;
  isThere = false;

  on(name: string, listener: (told: object) => void): void {
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), listener]);
  }
  connect(_: object, done: (error: null) => void): void {
    this.isThere = true;
    done(null);
  }
  disconnect(done: (error: null) => void): void {
    this.isThere = false;
    done(null);
  }
  isConnected = () => this.isThere;
  setDefaultConsumeTimeout = () => undefined;
  subscribe = (topics: readonly string[]) => void this.calls.push(`subscribe ${topics}`);
  consume(_: number, done: (error: null, records: readonly NativeRecord[]) => void): void {
    const records = this.fetched;
    this.fetched = [];
    done(null, records);
  }
  incrementalAssign = (places: readonly object[]) => void this.calls.push(`assign ${places.length}`);
  incrementalUnassign = (places: readonly object[]) => void this.calls.push(`unassign ${places.length}`);
  assignmentLost = () => this.isLost;
  commitCb: (places: readonly object[], done: (error: null) => void) => void = () => undefined;

  tell(name: string, told: object): void {
    for (const listener of this.listeners.get(name) ?? []) listener(told);
  }

  change(code: number, partitions: readonly number[]): void {
    this.asked?.rebalance_cb({ code } as NativeError, partitions.map(placeOf));
  }
}

const placeOf = (partition: number) => ({ topic: 't', partition });

async function joined(received: (records: readonly ReceivedRecord[]) => void = () => undefined) {
  const time = new VirtualTime();
  const puppet = new Puppet();
  const memberships: Membership[] = [];
  const make = (listeners: ConsumerListeners) => {
    puppet.asked = listeners;
    return puppet as unknown as NativeConsumer;
  };
  const parts = {
    library: {} as ConfluentLibrary,
    settings: settingsFrom({ brokers: ['a:1'], driver: 'confluent' }),
    scheduler: time,
    clock: time,
    logger: silentLogger,
    clientId: 'c',
  };
  const options = { group: 'g', topics: ['t'], joined: (membership: Membership) => void memberships.push(membership), received };
  const consumer = new ConfluentConsumer(make, options, parts);
  let lost: unknown = 'not lost';
  void consumer.lost.then((reason) => {
    lost = reason;
  });
  const joining = consumer.join();
  await time.advance(0);
  puppet.change(GIVEN, [0, 2]);
  await joining;
  return { time, puppet, memberships, consumer, lost: () => lost };
}

/** An admin whose broker answers that. */
function adminOf(fetchOffsets: (options: object) => Promise<object>): ConfluentAdmin {
  const time = new VirtualTime();
  const parts = { settings: settingsFrom({ brokers: ['a:1'] }), clock: time, scheduler: time };
  return new ConfluentAdmin({ fetchOffsets } as unknown as NativeAdmin, {
    timeoutMs: 1,
    everything: 0,
    sleep: async () => undefined,
    whileEnding: async (ask) => {
      const answer = whileEnding(parts, ask);
      await time.advance('1s');
      return answer;
    },
  });
}

describe('the driver confluent', () => {
  it('tells which partitions are given and taken one by one, before they are read and after', async () => {
    const { puppet, memberships } = await joined();
    puppet.change(GIVEN, [1]);
    puppet.change(TAKEN, [0]);
    expect(memberships.map(({ places }) => places.map(({ partition }) => partition))).toEqual([
      [0, 2],
      [0, 2, 1],
      [2, 1],
    ]);
    expect(new Set(memberships.map(({ memberId }) => memberId)).size).toBe(1);
    expect(puppet.calls).toEqual(['subscribe t', 'assign 2', 'assign 1', 'unassign 1']);
  });

  it('is another member when the group had forgotten it: what it had may have been handled elsewhere', async () => {
    const { puppet, memberships } = await joined();
    puppet.isLost = true;
    puppet.change(TAKEN, [0, 2]);
    puppet.change(GIVEN, [0, 2]);
    expect(memberships[2]?.memberId).not.toBe(memberships[0]?.memberId);
  });

  it('hands over what was fetched, partition by partition, when it is told that there is something', async () => {
    const received: string[] = [];
    const { time, puppet } = await joined(
      (records) => void received.push(records.map(({ partition, offset }) => `${partition}/${offset}`).join(' ')),
    );
    const record = (partition: number, offset: number): NativeRecord => ({
      ...placeOf(partition),
      offset,
      key: null,
      value: null,
      timestamp: 0,
    });
    puppet.fetched = [record(0, 5), record(2, 1), record(0, 6)];
    puppet.asked?.queue_non_empty_cb();
    await time.advance(0);
    expect(received).toEqual(['0/5 0/6', '2/1']);
  });

  it('is lost when what takes the records throws, and librdkafka never hears of it', async () => {
    const { time, puppet, lost } = await joined(() => {
      throw new TypeError('a bug');
    });
    puppet.fetched = [{ ...placeOf(0), offset: 1, key: null, value: null, timestamp: 0 }];
    await time.advance('1s');
    expect(lost()).toMatchObject({ message: 'a bug' });
  });

  it('is lost when the coordinator was silent for four sessions and a request, and not while it answers', async () => {
    const { time, puppet, lost } = await joined();
    const say = (idleMs: number) =>
      puppet.tell('event.stats', { message: JSON.stringify({ brokers: { c: { name: 'GroupCoordinator', rxidle: idleMs * 1000 } } }) });
    for (let times = 0; times < 12; times += 1) {
      await time.advance('10s');
      say(200);
    }
    await time.advance('49s');
    say(49_200);
    expect(lost()).toBe('not lost');
    await time.advance('12s');
    expect(lost()).toMatchObject({ code: 'HF_BROKER_UNANSWERED' });
  });

  it('is lost, too, when a look into what was fetched does not end, and is let go of all the same', async () => {
    const { time, puppet, consumer, lost } = await joined();
    puppet.consume = () => undefined;
    puppet.asked?.queue_non_empty_cb();
    await time.advance('61s');
    expect(lost()).toMatchObject({ code: 'HF_BROKER_UNANSWERED' });
    const ended = consumer.end();
    await time.advance('11s');
    await ended;
    expect(puppet.isThere).toBe(false);
  });

  it('holds no more of the threads of Node than leave two to everybody else', async () => {
    const { consumer, puppet } = await joined();
    const commits: ((error: null) => void)[] = [];
    puppet.commitCb = (_, done) => void commits.push(done);
    const committed = Promise.all([1n, 2n, 3n].map((offset) => consumer.commit([{ ...placeOf(0), offset }])));
    expect(commits).toHaveLength(Math.min(3, Math.max(1, (Number(process.env.UV_THREADPOOL_SIZE) || 4) - 2)));
    for (let each = commits.shift(); each !== undefined; each = commits.shift()) {
      each(null);
      await new Promise(setImmediate);
    }
    await committed;
  });

  it('says of several records why one was refused, and not that those behind it were not sent', async () => {
    const reports: ((error: object | null, report: object) => void)[] = [];
    const opaques: object[] = [];
    const native = {
      setPollInBackground: () => undefined,
      on: (_: string, listener: (error: object | null, report: object) => void) => void reports.push(listener),
      produce: (...args: readonly object[]) => void opaques.push(args[5] as object),
    } as unknown as NativeProducer;
    listen(native);
    const parts = { settings: settingsFrom({ brokers: ['a:1'] }), scheduler: new VirtualTime() } as unknown as ConfluentParts;
    const record = { topic: 't', key: null, value: null, headers: {} };
    const produced = produce(native, [record, record, record], parts);
    const codes = [-150, 10, undefined];
    for (const [place, opaque] of opaques.entries())
      reports[0]?.(codes[place] === undefined ? null : Object.assign(new Error('no'), { code: codes[place] }), { opaque });
    await expect(produced).rejects.toMatchObject({ type: 'MESSAGE_TOO_LARGE' });
  });

  it('is lost when librdkafka says that it is of no use any more, and not for what passes', async () => {
    const { time, puppet, lost } = await joined();
    puppet.tell('event.error', { code: -187 });
    await time.advance(0);
    expect(lost()).toBe('not lost');
    puppet.tell('event.error', Object.assign(new Error('fenced'), { code: -150 }));
    await time.advance(0);
    expect(lost()).toMatchObject({ message: 'fenced' });
  });

  it('is not let go of while it is opening: the library lets go of one that fails', async () => {
    const puppet = new Puppet();
    let done: (error: null) => void = () => undefined;
    puppet.connect = (_, opened) => {
      done = opened;
    };
    const left = jest.spyOn(puppet, 'disconnect');
    const time = new VirtualTime();
    const parts = { settings: settingsFrom({ brokers: ['a:1'] }), scheduler: time };
    const native = puppet as unknown as NativeConsumer;
    const opening = connected(native, parts);
    await time.advance(0);
    puppet.tell('event.log', { fac: 'FAIL', message: '[thrd:x]: a:1: SASL authentication error: no (after 1ms)' });
    await expect(opening).rejects.toMatchObject({ type: 'SASL_AUTHENTICATION_FAILED' });
    await disconnected(native, parts);
    expect(left).not.toHaveBeenCalled();
    done(null);
    await time.advance(0);
    expect(left).toHaveBeenCalledTimes(1);
  });

  it('is a version that was tried, or is refused with the one that is there', () => {
    const library = {};
    const of = (version: string) => confluentLibrary((name) => (name.endsWith('package.json') ? { version } : library));
    for (const version of ['1.10.1', '1.11.0', '1.10.2-dev']) expect(of(version)).toBe(library);
    for (const version of ['0.12.0', '1.9.3', '1.10.0', '2.0.0'])
      expect(() => of(version)).toThrow(new RegExp(`from 1.10.1 on and below 2, and ${version} is installed`));
  });

  it('takes a negative offset for none, and no topic that was not asked for', async () => {
    const partitions = ['7', '-1', '-1001'].map((offset, partition) => ({ partition, offset, metadata: partition === 0 ? 'note' : null }));
    const found = ['t', 'other'].map((topic) => ({ topic, partitions }));
    const closed = { topic: 'closed', partitions: [{ partition: 0, offset: '7', metadata: null, error: { code: 29 } }] };
    const positions = await adminOf(async () => [closed, ...found]).positions('g', ['t']);
    expect(positions).toEqual([{ topic: 't', partition: 0, offset: 7n, note: 'note' }]);
  });

  it('asks where a group stands once transactions are settled, and takes no error for nowhere', async () => {
    const asked: object[] = [];
    const errors = [{ code: 88 }, null];
    const admin = adminOf(async (options) => {
      asked.push(options);
      return [{ topic: 't', partitions: [{ partition: 2, offset: '7', metadata: null, error: errors.shift() }] }];
    });
    expect(await admin.settledPosition('g', { topic: 't', partition: 2 })).toEqual({ topic: 't', partition: 2, offset: 7n });
    expect(asked).toEqual(
      Array(2).fill(expect.objectContaining({ topics: [{ topic: 't', partitions: [2] }], requireStableOffsets: true })),
    );
    errors.push({ code: 29 });
    await expect(admin.positions('g', ['t'])).rejects.toMatchObject({ type: 'TOPIC_AUTHORIZATION_FAILED' });
  });

  it('leaves to the broker what is its to say with the groups of Kafka 4', () => {
    const of = (groupProtocol: 'classic' | 'consumer') =>
      memberConfig(settingsFrom({ brokers: ['a:1'], driver: 'confluent', groupProtocol }), 'g');
    expect(of('classic')).toMatchObject({ 'session.timeout.ms': 10_000, 'partition.assignment.strategy': 'cooperative-sticky' });
    for (const name of ['session.timeout.ms', 'heartbeat.interval.ms', 'partition.assignment.strategy'])
      expect(of('consumer')).not.toHaveProperty(name);
  });

  it('speaks as it is told, with a name and over TLS', () => {
    const of = (options: object) => clientConfig(settingsFrom({ brokers: ['a:1', 'b:2'], driver: 'confluent', ...options }), 'c');
    const sasl = { mechanism: 'scram-sha-512', username: 'u', password: 'p' };
    expect(of({})).toMatchObject({ 'bootstrap.servers': 'a:1,b:2', 'security.protocol': 'plaintext' });
    expect(of({ sasl })).toMatchObject({ 'security.protocol': 'sasl_plaintext', 'sasl.mechanisms': 'SCRAM-SHA-512', 'sasl.username': 'u' });
    expect(of({ sasl, ssl: true })).toMatchObject({
      'security.protocol': 'sasl_ssl',
      'ssl.ca.pem': expect.stringContaining('BEGIN CERTIFICATE'),
    });
  });
});
