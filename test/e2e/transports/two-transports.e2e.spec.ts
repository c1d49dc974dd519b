import { borrowTestDatabase, eventually, pause, type TestDatabase } from '@holdfast-internal/test-support';
import { Command, Holdfast, type HoldfastOptions, Message, silentLogger, storeTools } from '@holdfast/core';
import { database as overDatabase } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';
import { HandBroker } from './support/hand-broker.js';

@Message('shop.paid')
class Paid {
  constructor(readonly n: number) {}
}

@Message('shop.viewed', { destination: 'events:views' })
class Viewed {
  constructor(readonly n: number) {}
}

@Message('shop.charge')
class Charge extends Command<void> {
  constructor(readonly n: number) {
    super();
  }
}

const LANES = 4;

describe('two transports over one log', () => {
  let testDatabase: TestDatabase;
  let dataSource: DataSource;
  let rabbit: HandBroker;
  let kafka: HandBroker;
  const buses: Holdfast[] = [];
  const told: { readonly message: string; readonly fields: object }[] = [];

  beforeEach(async () => {
    testDatabase = await borrowTestDatabase();
    dataSource = await new DataSource({ type: 'postgres', url: testDatabase.url, poolSize: 12 }).initialize();
    rabbit = new HandBroker('rabbitmq');
    kafka = new HandBroker('kafka');
    told.length = 0;
  });
  afterEach(async () => {
    rabbit.heal();
    kafka.heal();
    await Promise.all(buses.splice(0).map((bus) => bus.stop({ timeout: '2s' })));
    await dataSource.destroy();
    await testDatabase.drop();
  });

  const logger = { ...silentLogger, error: (message: string, fields: object = {}) => void told.push({ message, fields }) };

  const make = (options: Partial<HoldfastOptions> = {}): Holdfast => {
    const transports = { default: rabbit.factory(), events: kafka.factory() };
    const made = new Holdfast(
      { service: 'shop', transports, store: typeorm({ dataSource, lanes: LANES }), ...options } as HoldfastOptions,
      {
        logger,
      },
    );
    buses.push(made);
    return made;
  };
  const both = async (options: Partial<HoldfastOptions> = {}): Promise<Holdfast> => {
    const made = make(options);
    await made.start();
    return made;
  };
  const started = async (bus: Holdfast) => {
    await bus.start();
    return bus;
  };
  /** A process from before there was a second one. */
  const old = (options: Partial<HoldfastOptions> = {}) => both({ transports: undefined, transport: rabbit.factory(), ...options } as never);
  const stop = async (bus: Holdfast) => {
    buses.splice(buses.indexOf(bus), 1);
    await bus.stop({ timeout: '2s' });
  };
  const nothingWaits = (bus: Holdfast) =>
    eventually(
      () => bus.outbox.stats(),
      ({ backlog }) => backlog === 0,
    );

  it('carry each message over the one its destination names, others over the default, in one commit', async () => {
    const bus = await both();
    await bus.unitOfWork.run({}, async () => {
      await bus.bus.publish(new Paid(1), { key: 'a' });
      await bus.bus.publish(new Viewed(1), { key: 'a' });
      await bus.bus.send(new Charge(1), { key: 'b' });
      await bus.bus.publish(new Viewed(2), { key: 'c', destination: 'events:views-sampled' });
      await bus.bus.publish(new Paid(2), { key: 'd', destination: 'events:shop.paid' });
      await bus.bus.publish(new Viewed(3), { key: 'e', destination: 'default:views' });
    });
    await bus.unitOfWork
      .run({}, async () => {
        await bus.bus.publish(new Viewed(9));
        throw new Error('refused');
      })
      .catch(() => undefined);
    await nothingWaits(bus);
    expect([...rabbit.log].sort()).toEqual(['shop.charge b', 'shop.paid a', 'views e']);
    expect([...kafka.log].sort()).toEqual(['shop.paid d', 'views a', 'views-sampled c']);
  });

  it('keep the order of a key on each', async () => {
    const bus = await both();
    for (let n = 0; n < 60; n += 1)
      await bus.unitOfWork.run({}, async () => {
        await bus.bus.publish(new Paid(n), { key: 'k' });
        await bus.bus.publish(new Viewed(n), { key: 'k' });
      });
    await nothingWaits(bus);
    const all = Array.from({ length: 60 }, (_, n) => ({ n }));
    expect(rabbit.at('shop.paid')).toEqual(all);
    expect(kafka.at('views')).toEqual(all);
  });

  it.each(['frozen', 'down', 'full'] as const)(
    'send over one while the broker of the other is %s, and the rest when it is well again',
    async (state) => {
      const bus = await both();
      kafka.state = state;
      for (let n = 0; n < 100; n += 1)
        await bus.unitOfWork.run({}, async () => {
          await bus.bus.publish(new Viewed(n), { key: `k${n % 7}` });
          await bus.bus.publish(new Paid(n), { key: `k${n % 7}` });
        });
      await eventually(
        async () => rabbit.sent.length,
        (count) => count === 100,
      );
      expect(kafka.sent).toEqual([]);
      const { transports, backlog } = await bus.outbox.stats();
      expect(transports).toMatchObject([
        { transport: 'default', backlog: 0, parked: 0 },
        { transport: 'events', backlog: 100, parked: 0 },
      ]);
      expect(backlog).toBe(100);
      kafka.heal();
      await nothingWaits(bus);
      expect(kafka.at('views')).toHaveLength(100);
    },
  );

  it('tell of each in the health of a process', async () => {
    const bus = await both();
    kafka.state = 'down';
    expect(await bus.health()).toMatchObject({
      status: 'degraded',
      problems: ['the transport events (kafka) is not connected; messages wait in the outbox'],
      transports: [
        { name: 'default', kind: 'rabbitmq', status: 'up' },
        { name: 'events', kind: 'kafka', status: 'down' },
      ],
    });
  });

  it('leave what a newer process writes for the new one alone in an older process that does not know it', async () => {
    const before = await old();
    const after = await both({ relay: false });
    await after.bus.publish(new Viewed(1), { key: 'a' });
    await after.bus.publish(new Paid(1), { key: 'a' });
    await eventually(
      async () => rabbit.sent.length,
      (count) => count === 1,
    );
    // The older one has passed all that is its own, and has had the time to do harm to the rest.
    await pause(500);
    expect(rabbit.log).toEqual(['shop.paid a']);
    await expect(before.bus.publish(new Viewed(2))).rejects.toThrow(
      'The destination events:views names a transport that is not registered; registered are: default.',
    );
    await both();
    await eventually(
      async () => kafka.log,
      (log) => log.length > 0,
    );
    expect([kafka.log, rabbit.log]).toEqual([['views a'], ['shop.paid a']]);
  });

  it('are taken over by an older process that is left only as far as it has them', async () => {
    const before = await old();
    const after = await both();
    kafka.state = 'down';
    await after.bus.publish(new Viewed(1), { key: 'a' });
    await stop(after);
    await before.bus.publish(new Paid(1), { key: 'a' });
    await eventually(
      async () => rabbit.log.length,
      (count) => count === 1,
    );
    const { lanes } = await before.outbox.stats();
    expect(new Set(lanes.filter(({ transport }) => transport === 'events').map(({ owner }) => owner))).toEqual(new Set([undefined]));
    kafka.heal();
    await both();
    await eventually(
      async () => kafka.log,
      (log) => log.length === 1,
    );
  });

  it('say at the start what waits for one that no process has any more, and give it up when they are told to', async () => {
    const after = await both();
    kafka.state = 'full';
    await after.bus.publish(new Viewed(1), { key: 'a' });
    const discard = () => after.outbox.discardTransport('events', { by: 'a test', reason: 'gone' });
    await expect(discard()).rejects.toMatchObject({ code: 'HF_TRANSPORT_DISCARD' });
    await stop(after);
    const before = await old();
    expect(told).toEqual([expect.objectContaining({ fields: { transport: 'events', backlog: 1, parked: 0 } })]);
    await before.bus.publish(new Paid(1));
    await eventually(
      async () => rabbit.sent.length,
      (count) => count === 1,
    );
    expect(await before.outbox.discardTransport('events', { by: 'a test', reason: 'gone' })).toEqual({ count: 1 });
    expect((await before.outbox.stats()).backlog).toBe(0);
    await expect(before.outbox.discardTransport('default', { by: 'a test', reason: 'gone' })).rejects.toThrow('it is the default one');
    await expect(before.outbox.discardTransport('audit', { by: 'a test', reason: 'gone' })).rejects.toThrow('the log has no lanes for it');
    await stop(before);
    told.length = 0;
    await old();
    expect(told).toEqual([]);
  });

  it('are refused before anything is written where the tables may not be changed, until lanes were made for the new one', async () => {
    const first = await old();
    const next = make({ migrate: false });
    await expect(next.start()).rejects.toThrow(
      'The transport events has no lanes in the log of this database, and migrate is false. Run `holdfast transport add events` before the start',
    );
    const { schema } = storeTools(typeorm({ dataSource, lanes: LANES }), 'shop').store;
    await Promise.all([schema.addTransports(['events']), schema.addTransports(['events', 'audit'])]);
    const second = await both({ migrate: false });
    await second.bus.publish(new Viewed(1), { key: 'a' });
    await first.bus.publish(new Paid(1), { key: 'a' });
    await nothingWaits(second);
    expect([kafka.log, rabbit.log]).toEqual([['views a'], ['shop.paid a']]);
  });

  it('go together with the log as the default: its subscriptions read theirs, and nothing of the other', async () => {
    const seen: string[] = [];
    const bus = make({ transports: { default: overDatabase(), events: kafka.factory() } } as never);
    bus.on(Paid, ({ n }) => void seen.push(`paid ${n}`), { name: 'shop.book', transactional: true, idempotent: true });
    await bus.start();
    await bus.unitOfWork.run({}, async () => {
      await bus.bus.publish(new Paid(1), { key: 'a' });
      await bus.bus.publish(new Paid(2), { key: 'a', destination: 'events:shop.paid' });
    });
    await nothingWaits(bus);
    await bus.settled(30_000);
    expect(seen).toEqual(['paid 1']);
    expect(kafka.at('shop.paid')).toEqual([{ n: 2 }]);
    // The relay of the other one is no reader of this one's lanes: it would keep their rows for ever.
    expect(await dataSource.query(`select distinct relay_position from holdfast_lane where transport = 'default'`)).toEqual([
      { relay_position: null },
    ]);
    await expect(bus.bus.publish(new Paid(3), { destination: 'elsewhere' })).rejects.toThrow(
      'the destination elsewhere (messages go to the subscriptions of their type) is not possible with the transport database.',
    );
  });

  it('are refused for a subscription that has read the log so far, where some of its messages may be left', async () => {
    const over = (type: typeof Paid | typeof Viewed, name: string) => {
      const bus = make({ transports: { default: overDatabase(), events: kafka.factory() } } as never);
      return bus.on(type, () => undefined, { name, transactional: true });
    };
    await stop(await started(over(Paid, 'shop.book')));
    await expect(over(Viewed, 'shop.book').start()).rejects.toMatchObject({ code: 'HF_TRANSPORT_MOVED', details: { names: 'shop.book' } });
    await started(over(Paid, 'shop.book').on(Viewed, () => undefined, { name: 'shop.count' }));
  });

  it('move what is due later into the lanes of its own', async () => {
    const bus = await both();
    await bus.bus.publish(new Viewed(1), { key: 'a', delay: 50 });
    await eventually(
      async () => kafka.log.length,
      (count) => count === 1,
    );
    expect([kafka.log, rabbit.log]).toEqual([['views a'], []]);
  });

  it('lose no lane to a restart, and none of their places', async () => {
    const first = await both();
    await first.bus.publish(new Viewed(1), { key: 'a' });
    await nothingWaits(first);
    await stop(first);
    const second = await both();
    await second.bus.publish(new Viewed(2), { key: 'a' });
    await nothingWaits(second);
    expect(kafka.at('views')).toEqual([{ n: 1 }, { n: 2 }]);
    expect((await second.outbox.stats()).lanes.map(({ transport }) => transport)).toEqual([
      ...Array(LANES).fill('default'),
      ...Array(LANES).fill('events'),
    ]);
  });
});
