// Whole applications on a real database: how they are set up, live side by side, and end.
import { createTestDatabase, type TestDatabase, eventually } from '@holdfast-internal/test-support';
import {
  DeadLetters,
  Holdfast,
  HoldfastHealthIndicator,
  HoldfastModule,
  type HoldfastOptions,
  type HoldfastOptionsFactory,
  Idempotent,
  OnMessage,
  Subscriptions,
  Transactional,
} from '@holdfast/nest';
import { database as databaseTransport } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { type DynamicModule, Inject, Injectable, Module, type Provider, type Type, UseGuards } from '@nestjs/common';
import { HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { Test, type TestingModule } from '@nestjs/testing';
import { DataSource } from 'typeorm';
import { silent } from './support/recording-engine.js';
import { Charges, OrderPlaced, Orders, orm } from './support/shop.js';

let database: TestDatabase;
const apps: TestingModule[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
});

afterEach(async () => {
  // Nest 11 closes nothing of an application whose start was refused.
  for (const app of apps.splice(0)) await app.close().catch(() => app.get(DataSource).destroy());
  await database.drop();
});

const options = (service = 'shop'): HoldfastOptions => ({ service, transport: databaseTransport(), store: typeorm() });

async function start(
  providers: Provider[],
  holdfast: DynamicModule = HoldfastModule.forRoot(options()),
  others: Type[] = [],
): Promise<TestingModule> {
  const app = await Test.createTestingModule({ imports: [...orm(database.url), holdfast, ...others], providers })
    .setLogger(silent)
    .compile();
  apps.push(app);
  await app.init();
  return app;
}

const charged = (app: TestingModule, count: number) => eventually(async () => (await app.get(Charges).rows.count()) === count, Boolean);

@Injectable()
class Configuration implements HoldfastOptionsFactory {
  createHoldfastOptions = () => options();
}

@Module({ providers: [Configuration], exports: [Configuration] })
class ConfigurationModule {}

describe('an application', () => {
  it.each([
    ['a function', HoldfastModule.forRootAsync({ useFactory: async () => options() })],
    ['a class', HoldfastModule.forRootAsync({ useClass: Configuration })],
    ['a class of another module', HoldfastModule.forRootAsync({ imports: [ConfigurationModule], useExisting: Configuration })],
  ])('with options from %s carries a committed message from a transaction to a handler, and no other', async (_form, holdfast) => {
    const app = await start([Orders, Charges], holdfast);
    await app.get(Orders).place('o-1');
    await expect(app.get(Orders).place('o-2', true)).rejects.toThrow('changed its mind');
    await app.get(Orders).place('o-3');
    await charged(app, 2);
    expect((await app.get(Charges).rows.find({ order: { orderId: 'ASC' } })).map(({ orderId }) => orderId)).toEqual(['o-1', 'o-3']);
    await expect(app.get(Orders).rows.count()).resolves.toBe(2);
  });

  it('shares the process with another one that has the same classes, each with its own engine and transactions', async () => {
    const other = await createTestDatabase();
    const here = await start([Orders, Charges]);
    const there = await Test.createTestingModule({
      imports: [...orm(other.url), HoldfastModule.forRoot(options())],
      providers: [Orders, Charges],
    })
      .setLogger(silent)
      .compile();
    try {
      await there.init();
      await Promise.all([here.get(Orders).place('here'), there.get(Orders).place('there')]);
      await Promise.all([charged(here, 1), charged(there, 1)]);
      await expect(there.get(Charges).rows.find()).resolves.toMatchObject([{ orderId: 'there' }]);
      await expect(here.get(Charges).rows.find()).resolves.toMatchObject([{ orderId: 'here' }]);
    } finally {
      await there.close();
      await other.drop();
    }
  });

  it('is healthy from its start to the beginning of its stop', async () => {
    const app = await start([Orders, Charges]);
    const health = app.get(HoldfastHealthIndicator);
    expect(await health.isHealthy()).toEqual({
      holdfast: {
        status: 'up',
        problems: [],
        store: { description: 'postgres (typeorm)', isReachable: true },
        transport: { name: 'database', status: 'up', problem: undefined },
        transports: [{ name: 'default', kind: 'database', status: 'up', problem: undefined }],
        lagMs: 0,
        paused: [],
      },
    });
    const drained = app.get(Holdfast).drain();
    expect(await health.isHealthy('bus')).toMatchObject({ bus: { status: 'down', problems: ['it is stopping'] } });
    await drained;
  });

  it('is one line of a check by terminus, and takes the process out of service when it stops', async () => {
    const app = await start([Orders, Charges], HoldfastModule.forRoot(options()), [TerminusModule]);
    const check = () => app.get(HealthCheckService).check([() => app.get(HoldfastHealthIndicator).isHealthy('bus')]);
    expect(await check()).toMatchObject({ status: 'ok', details: { bus: { status: 'up', problems: [] } }, error: {} });
    const drained = app.get(Holdfast).drain();
    const refusal = { status: 'error', error: { bus: { status: 'down', problems: ['it is stopping'] } } };
    await expect(check()).rejects.toMatchObject({ status: 503, response: refusal });
    await drained;
  });

  it('keeps to the limits of its options, and what does not is undone with its unit', async () => {
    const app = await start([Orders, Charges], HoldfastModule.forRoot({ ...options(), limits: { bodyBytes: 40 } }));
    const tooLarge = { code: 'HF_MESSAGE_TOO_LARGE', message: expect.stringContaining('40') };
    await expect(app.get(Orders).place('o'.repeat(41))).rejects.toMatchObject(tooLarge);
    await app.get(Orders).place('o-1');
    await charged(app, 1);
    expect((await app.get(Orders).rows.find()).map(({ id }) => id)).toEqual(['o-1']);
  });

  it('talks to another one in the same process over one database, as two services do', async () => {
    const orders = await start([Orders], HoldfastModule.forRoot(options('orders')));
    const billing = await start([Charges], HoldfastModule.forRoot(options('billing')));
    await orders.get(Orders).place('o-1');
    await charged(billing, 1);
    expect((await billing.get(Subscriptions).list()).map(({ name }) => name)).toEqual(['charges.book']);
  });
});

describe('the hooks of other modules', () => {
  it('run transactions from onModuleInit on, and what must be remembered from onApplicationBootstrap on', async () => {
    const seen: unknown[] = [];
    const note = (work: Promise<unknown>) =>
      work.then(
        (value) => seen.push(value),
        (error: { code: string }) => seen.push(error.code),
      );
    @Injectable()
    class Seed {
      constructor(@Inject(Orders) readonly orders: Orders) {}
      onModuleInit = () => Promise.all([note(this.orders.place('o-1').then(() => 'placed')), note(this.once('early'))]);
      onApplicationBootstrap = () => note(this.once('in time'));

      @Idempotent({ key: (what: string) => what })
      async once(what: string) {
        return what;
      }
    }
    const app = await start([Seed, Orders, Charges]);
    expect(seen.sort()).toEqual(['HF_NOT_STARTED', 'in time', 'placed']);
    await charged(app, 1);
  });
});

describe('a guard that refuses', () => {
  it('makes a dead letter at the first attempt', async () => {
    @Injectable()
    class Guarded {
      @OnMessage(OrderPlaced, { name: 'guarded' })
      @UseGuards({ canActivate: () => false })
      @Transactional()
      async handle(_event: OrderPlaced) {}
    }
    const app = await start([Orders, Guarded]);
    await app.get(Orders).place('o-1');
    const letters = app.get(DeadLetters);
    await eventually(async () => (await letters.list()).items.length === 1, Boolean);
    const { items } = await letters.list();
    expect(items).toMatchObject([{ subscription: 'guarded', attempts: 1, error: { code: 'ForbiddenException' } }]);
  });
});

describe('the end of an application', () => {
  it('waits for a handler in work and keeps what it did, before the DataSource is destroyed', async () => {
    let begin = () => {};
    let release = () => {};
    const begun = new Promise<void>((resolve) => (begin = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    @Injectable()
    class Slow {
      constructor(@Inject(Charges) readonly charges: Charges) {}

      @OnMessage(OrderPlaced, { name: 'slow' })
      @Transactional()
      async handle(event: OrderPlaced) {
        begin();
        await released;
        await this.charges.rows.insert({ orderId: `slow ${event.orderId}`, attempt: 1 });
      }
    }
    const app = await start([Orders, Charges, Slow]);
    await app.get(Orders).place('o-1');
    await begun;
    const transcript: string[] = [];
    const closed = app.close().then(() => transcript.push('closed'));
    const dataSource = app.get(DataSource);
    await new Promise((resolve) => setTimeout(resolve, 50));
    transcript.push(dataSource.isInitialized ? 'still connected' : 'destroyed too early');
    release();
    await closed;
    expect(transcript).toEqual(['still connected', 'closed']);
    expect(dataSource.isInitialized).toBe(false);
    const again = await start([Orders, Charges, Slow]);
    await charged(again, 2);
    expect((await again.get(Charges).rows.find()).map(({ orderId }) => orderId).sort()).toEqual(['o-1', 'slow o-1']);
  });

  it('may be asked for twice at once', async () => {
    const app = await start([Orders, Charges]);
    await Promise.all([app.close(), app.close()]);
    apps.splice(0);
  });
});

describe('a start that is refused', () => {
  it('names everything that is wrong, and starts nothing', async () => {
    @Injectable()
    class Wrong {
      @OnMessage(OrderPlaced, { name: 'wrong.order', ordering: 'key' })
      @Transactional()
      async ordered(_event: OrderPlaced) {}

      @OnMessage(OrderPlaced, { name: 'wrong.batch', batchSize: 10 })
      async batched(_event: OrderPlaced) {}
    }
    const refusal = await start([Orders, Wrong]).catch((error: Error) => error);
    expect(refusal).toMatchObject({ code: 'HF_CONFIG_INVALID' });
    expect((refusal as unknown as { details: { problems: string[] } }).details.problems).toEqual([
      expect.stringMatching(/wrong\.order.*@?[Ii]dempotent/),
      expect.stringMatching(/wrong\.batch.*@?[Tt]ransactional/),
    ]);
  });

  @Injectable()
  class Unordered {
    @OnMessage(OrderPlaced, { name: 'unordered', ordering: 'key' })
    @Transactional()
    async book(_event: OrderPlaced) {}
  }
  @Injectable()
  class Twice {
    @OnMessage(OrderPlaced, { name: 'twice' })
    async one(_event: OrderPlaced) {}

    @OnMessage(OrderPlaced, { name: 'twice' })
    async other(_event: OrderPlaced) {}
  }
  @Injectable()
  class Keyless {
    @Idempotent({} as never)
    async remember(_id: string) {}
  }

  it.each<[string, Type, string]>([
    ['an option of a handler', Unordered, 'HF_CONFIG_INVALID'],
    ['a name that is there twice', Twice, 'HF_CONFIG_INVALID'],
    ['a method that is no handler', Keyless, 'HF_CONFIG_INVALID'],
  ])('because of %s has made no table, and no other module has initialised', async (_reason, wrong, code) => {
    const initialised: string[] = [];
    @Injectable()
    class Neighbour {
      onModuleInit = () => void initialised.push('neighbour');
    }
    await expect(start([Orders, wrong, Neighbour])).rejects.toMatchObject({ code });
    const tables = await apps[0]?.get(DataSource).query("select tablename from pg_tables where tablename like 'holdfast%'");
    expect({ tables, initialised }).toEqual({ tables: [], initialised: [] });
  });
});
