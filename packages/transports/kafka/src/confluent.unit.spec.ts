import { silentLogger, VirtualTime } from '@holdfast/core';
import { tooOld } from './broker-versions.js';
import type { Membership, ReceivedRecord } from './client.port.js';
import { ConfluentAdmin } from './confluent-admin.js';
import { ConfluentClient } from './confluent-client.js';
import { clientConfig } from './confluent-config.js';
import { type ConfluentParts, connected, disconnected } from './confluent-connection.js';
import { ConfluentConsumer, type ConsumerListeners } from './confluent-consumer.js';
import { GIVEN, memberConfig, TAKEN } from './confluent-group.js';
import { ConfluentHandles } from './confluent-handles.js';
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
import { ConfluentTransactions } from './confluent-transactions.js';
import { settingsFrom } from './settings.js';

type Listener = (...told: readonly unknown[]) => void;

/** A consumer of librdkafka that gives what it is told to give. */
class Puppet {
  readonly listeners = new Map<string, Listener[]>();
  readonly calls: string[] = [];
  asked: ConsumerListeners | undefined;
  fetched: readonly NativeRecord[] = [];
  isLost = false;
  isThere = false;
  looks = 0;

  on(name: string, listener: Listener): void {
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), listener]);
  }
  off(name: string, listener: Listener): void {
    this.listeners.set(
      name,
      (this.listeners.get(name) ?? []).filter((each) => each !== listener),
    );
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
  subscribe: (topics: readonly string[]) => void = (topics) => void this.calls.push(`subscribe ${topics}`);
  consume(_: number, done: (error: null, records: readonly NativeRecord[]) => void): void {
    const records = this.fetched;
    this.fetched = [];
    this.looks += 1;
    done(null, records);
  }
  incrementalAssign = (places: readonly object[]) => void this.calls.push(`assign ${places.length}`);
  incrementalUnassign = (places: readonly object[]) => void this.calls.push(`unassign ${places.length}`);
  assignmentLost = () => this.isLost;
  commitCb: (places: readonly object[], done: (error: null) => void) => void = () => undefined;
  committed: (places: readonly object[], timeoutMs: number, done: (error: NativeError | null, found?: readonly object[]) => void) => void =
    () => undefined;

  tell(name: string, ...told: readonly unknown[]): void {
    for (const listener of this.listeners.get(name) ?? []) listener(...told);
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

/** Handles whose broker answers that; undefined: the library has not called back yet, which is left to the test. */
function handlesOf(committed: (places: readonly object[], isolation: string) => readonly (object | Error)[] | NativeError | undefined) {
  const time = new VirtualTime();
  const puppets: Puppet[] = [];
  const late: (() => void)[] = [];
  const make = (_: string, isolation: string) => {
    const puppet = new Puppet();
    puppet.committed = (places, timeoutMs, done) => {
      const found = committed(places, isolation);
      if (found === undefined) late.push(() => done(failure(TIMED_OUT)));
      else if (!(found instanceof Error)) done(null, found);
      // It waits for its time, and says so.
      else void time.sleep(found.code === TIMED_OUT ? timeoutMs : 0).then(() => done(found));
    };
    puppet.commitCb = (_places, done) => void late.push(() => done(null));
    puppets.push(puppet);
    return puppet as unknown as NativeConsumer;
  };
  const settings = settingsFrom({ brokers: ['a:1'], driver: 'confluent' });
  const parts = { settings, scheduler: time, clock: time } as Partial<ConfluentParts> as ConfluentParts;
  return { time, puppets, handles: new ConfluentHandles(make, parts), parts, late };
}

const TIMED_OUT = -185;
const UNKNOWN_MEMBER = 25;
const failure = (code: number) => Object.assign(new Error(`no (${code})`), { code }) as NativeError;

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
    puppet.commitCb = (places, done) =>
      void commits.push((error) => {
        done(error);
        puppet.tell('offset.commit', undefined, places);
      });
    const committed = Promise.all([1n, 2n, 3n].map((offset) => consumer.commit([{ ...placeOf(0), offset }])));
    expect(commits).toHaveLength(Math.min(3, Math.max(1, (Number(process.env.UV_THREADPOOL_SIZE) || 4) - 2)));
    for (let each = commits.shift(); each !== undefined; each = commits.shift()) {
      each(null);
      await new Promise(setImmediate);
    }
    await committed;
  });

  it('keeps nothing of a commit that was answered, and fails those under way when it is lost', async () => {
    const { consumer, puppet } = await joined();
    puppet.commitCb = (places, done) => {
      done(null);
      puppet.tell('offset.commit', undefined, places);
    };
    const { waiting } = consumer as unknown as { readonly waiting: ReadonlySet<unknown> };
    await consumer.commit([{ ...placeOf(0), offset: 1n }]);
    expect(waiting.size).toBe(0);
    const late: ((error: null) => void)[] = [];
    puppet.commitCb = (_places, done) => void late.push(done);
    const commits = [2n, 3n].map((offset) => consumer.commit([{ ...placeOf(0), offset }]));
    expect(waiting.size).toBe(2);
    const ended = Promise.allSettled(commits);
    void consumer.end();
    expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(waiting.size).toBe(0);
    await expect(consumer.commit([{ ...placeOf(0), offset: 4n }])).rejects.toThrow('the consumer was ended');
    for (const done of late) done(null);
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

  it('asks where a group stands by a consumer that is no member, and takes a negative offset for none, or for the oldest record', async () => {
    const told = [{ offset: 7, metadata: 'note' }, { offset: -1 }, {}, { offset: -2 }];
    const { handles, puppets } = handlesOf((places) => places.map((place, n) => ({ ...place, ...told[n] })));
    expect(await handles.positions('g', [0, 1, 2, 3].map(placeOf))).toEqual([
      { topic: 't', partition: 0, offset: 7n, note: 'note' },
      { topic: 't', partition: 3, offset: 0n },
    ]);
    expect(puppets.map(({ isThere, calls }) => [isThere, calls])).toEqual([[false, []]]);
  });

  it('asks an admin for nothing of a group, a broker that is too old for nothing that is settled, and takes a negative end for none', async () => {
    const position = { ...placeOf(0), offset: 7n };
    const handles = { positions: async () => [position], settledPosition: async () => position };
    const fetchTopicOffsets = async () => [
      { partition: 0, low: '0', high: '-1' },
      { partition: 1, low: '5', high: '9' },
    ];
    const admin = new ConfluentAdmin({ fetchTopicOffsets } as Partial<NativeAdmin> as NativeAdmin, {
      timeoutMs: 1,
      everything: 0,
      sleep: async () => undefined,
      handles,
      check: async () => Promise.reject(tooOld()),
    });
    expect(await admin.positions('g', [placeOf(0)])).toEqual([position]);
    expect(await admin.ends('t')).toEqual([
      { ...placeOf(0), first: undefined, next: undefined },
      { ...placeOf(1), first: 5n, next: 9n },
    ]);
    await expect(admin.settledPosition('g', placeOf(0))).rejects.toMatchObject({ code: 'HF_CAPABILITY_UNSUPPORTED' });
  });

  it('sets where a group stands without being a member, and as one where the group has some', async () => {
    const puppets: Puppet[] = [];
    const commits: unknown[] = [];
    let hasMembers = false;
    class Made extends Puppet {
      constructor(config: object) {
        super();
        puppets.push(this);
        const isMember = 'rebalance_cb' in config;
        if (isMember) this.asked = config as ConsumerListeners;
        this.subscribe = () => this.change(GIVEN, [0]);
        this.commitCb = (places, done) => {
          commits.push([isMember, places]);
          // The broker has not heard of it when that is called.
          done(null);
          this.tell('offset.commit', hasMembers && !isMember ? failure(UNKNOWN_MEMBER) : undefined, places);
        };
      }
    }
    const time = new VirtualTime();
    const settings = settingsFrom({ brokers: ['a:1'], driver: 'confluent' });
    const library = { KafkaConsumer: Made } as unknown as ConfluentLibrary;
    const client = new ConfluentClient({ library, settings, scheduler: time, clock: time, logger: silentLogger, clientId: 'c' });
    const [position, place] = [
      { ...placeOf(0), offset: 3n, note: 'n' },
      { ...placeOf(0), offset: 3, metadata: 'n' },
    ];
    await client.setPositions('g', [position]);
    expect(commits.splice(0)).toEqual([[false, [place]]]);
    hasMembers = true;
    await client.setPositions('g', [position]);
    expect(commits).toEqual([
      [false, [place]],
      [true, [place]],
    ]);
    expect(puppets.map(({ isThere }) => isThere)).toEqual([false, false, false]);
  });

  it('asks again while another broker looks after the group, or a transaction is under way there, and takes no error for nowhere', async () => {
    const errors: (NativeError | Error[])[] = [
      failure(16),
      failure(TIMED_OUT),
      [new Error('Broker: There are unstable offsets that need to be cleared')],
    ];
    const isolations = new Set<string>();
    const { handles, time } = handlesOf((places, isolation) => {
      isolations.add(isolation);
      return errors.shift() ?? places.map((place) => ({ ...place, offset: 7 }));
    });
    const position = handles.settledPosition('g', placeOf(2));
    await time.advance('2s');
    expect(await position).toEqual({ topic: 't', partition: 2, offset: 7n });
    expect([...isolations]).toEqual(['read_committed']);
    errors.push([new Error('Broker: Topic authorization failed')]);
    await expect(handles.positions('g', [placeOf(0)])).rejects.toMatchObject({ type: 'TOPIC_AUTHORIZATION_FAILED' });
  });

  it('holds a thread for a moment at a time while a group cannot be asked, and gives up after the time of a request', async () => {
    let asked = 0;
    const { handles, time } = handlesOf(() => {
      asked += 1;
      return failure(TIMED_OUT);
    });
    const ended: unknown[] = [];
    handles.settledPosition('g', placeOf(0)).catch((error) => ended.push(error));
    await time.advance('600ms');
    expect(asked).toBe(2);
    await time.advance('9s');
    expect(ended).toEqual([]);
    await time.advance('1s');
    expect(ended).toEqual([expect.objectContaining({ code: TIMED_OUT })]);
    expect(asked).toBeLessThan(8);
  });

  it('looks into the handles that are kept once a second, and not after they were let go of', async () => {
    const { handles, puppets, time } = handlesOf((places) => places.map((place) => ({ ...place, offset: 7 })));
    await handles.settledPosition('g', placeOf(0));
    await handles.settledPosition('h', placeOf(0));
    expect(puppets.map(({ looks }) => looks)).toEqual([0, 0]);
    await time.advance('3s');
    expect(puppets.map(({ looks, isThere }) => [looks, isThere])).toEqual(Array(2).fill([3, true]));
    handles.drop();
    await time.advance('3s');
    expect(puppets.map(({ looks, isThere }) => [looks, isThere])).toEqual(Array(2).fill([3, false]));
    await expect(handles.settledPosition('g', placeOf(0))).rejects.toThrow('the client was let go of');
  });

  it('lets go of what was made for one question too, asks no more for it, and makes nothing any more', async () => {
    const { handles, puppets, time, late } = handlesOf(() => undefined);
    const problems: unknown[] = [];
    handles.positions('g', [placeOf(0)]).catch(({ message }: Error) => problems.push(message));
    handles.setPositions('g', [{ ...placeOf(0), offset: 1n }]).catch(({ message }: Error) => problems.push(message));
    await time.advance('100ms');
    handles.drop();
    await time.advance('100ms');
    expect(problems).toEqual(Array(2).fill('the client was let go of'));
    const looks = puppets.map((puppet) => puppet.looks);
    for (const callBack of late.splice(0)) callBack();
    await time.advance('1s');
    expect(puppets.map(({ isThere }) => isThere)).toEqual([false, false]);
    expect(puppets.map((puppet) => puppet.looks)).toEqual(looks);
    expect(late).toEqual([]);
    await expect(handles.positions('g', [placeOf(0)])).rejects.toThrow('the client was let go of');
    expect(puppets).toHaveLength(2);
  });

  it('lets nobody wait for an admin once it is let go of, and opens none', async () => {
    const time = new VirtualTime();
    const calls: string[] = [];
    const native = { connect: async () => void calls.push('connect'), disconnect: async () => void calls.push('disconnect') };
    class Kafka {
      readonly admin = () => native;
    }
    const library = { KafkaJS: { Kafka }, IsolationLevel: { READ_UNCOMMITTED: 0 } } as unknown as ConfluentLibrary;
    const settings = settingsFrom({ brokers: ['a:1'], driver: 'confluent' });
    const client = new ConfluentClient({ library, settings, scheduler: time, clock: time, logger: silentLogger, clientId: 'c' });
    let end: () => void = () => undefined;
    const working = new Promise<void>((resolve) => {
      end = resolve;
    });
    const problems: string[] = [];
    client.administer(() => working).catch(({ message }: Error) => problems.push(message));
    await time.advance(0);
    client.drop();
    await time.advance(0);
    expect(problems).toEqual(['the client was let go of']);
    expect(calls).toEqual(['connect']);
    end();
    await time.advance(0);
    expect(calls).toEqual(['connect', 'disconnect']);
    await expect(client.administer(async () => undefined)).rejects.toThrow('the client was let go of');
    await expect(client.setPositions('g', [{ ...placeOf(0), offset: 1n }])).rejects.toThrow('the client was let go of');
    expect(calls).toEqual(['connect', 'disconnect']);
  });

  it('lets go of no handle while a thread of the library may look into it, however long nobody waits for that any more', async () => {
    const { handles, puppets, time, late } = handlesOf(() => undefined);
    const asked = Promise.allSettled([
      handles.positions('g', [placeOf(0)]),
      handles.settledPosition('g', placeOf(0)),
      handles.setPositions('g', [{ ...placeOf(0), offset: 1n }]),
    ]);
    await time.advance('2m');
    expect((await asked).map(({ status }) => status)).toEqual(Array(3).fill('rejected'));
    handles.drop();
    await time.advance('1m');
    expect(puppets.map(({ isThere }) => isThere)).toEqual(Array(3).fill(true));
    for (const callBack of late) callBack();
    await time.advance(0);
    expect(puppets.map(({ isThere }) => isThere)).toEqual(Array(3).fill(false));
  });

  it('keeps a handle and a producer also while the offsets of a group are put into a transaction', async () => {
    const { handles, puppets, time, parts } = handlesOf(() => []);
    const native = new Puppet();
    let callBack: () => void = () => undefined;
    const offsets: Partial<NativeProducer> = {
      setPollInBackground: () => undefined,
      initTransactions: (_timeoutMs, done) => done(null, undefined),
      beginTransaction: (done) => done(null, undefined),
      sendOffsetsToTransaction: (...args) => {
        callBack = () => args[3](null, undefined);
      },
      abortTransaction: (_timeoutMs, done) => done(null, undefined),
    };
    const producer = Object.assign(native as object, offsets) as NativeProducer;
    const transactions = new ConfluentTransactions(producer, (group, work) => handles.use(group, work), parts);
    await transactions.connect();
    const unanswered = expect(transactions.transact([], 'g', { ...placeOf(0), offset: 1n })).rejects.toMatchObject({
      code: 'HF_BROKER_UNANSWERED',
    });
    await time.advance('1m');
    await unanswered;
    handles.drop();
    const ended = transactions.end();
    await time.advance('1m');
    await ended;
    expect([native, ...puppets].map(({ isThere }) => isThere)).toEqual([true, true]);
    callBack();
    await time.advance(0);
    expect([native, ...puppets].map(({ isThere }) => isThere)).toEqual([false, false]);
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
