import { DeadLetters, Holdfast, type HoldfastOptions, MessageBus, Outbox, type Runtime, Subscriptions, UnitOfWork } from '@holdfast/core';
import { forwardRef, Inject, Injectable, Module, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { anyOptions, problemsOf, recordingApp, silent } from '../../../../test/nest/support/recording-engine.js';
import { HOLDFAST_OPTIONS, HoldfastModule, type HoldfastOptionsFactory, Transactional } from '../index.js';

@Injectable()
class Settings {
  readonly service = 'from settings';
}

@Injectable()
class Factory implements HoldfastOptionsFactory {
  constructor(@Inject(Settings) private readonly settings: Settings) {}
  async createHoldfastOptions(): Promise<HoldfastOptions> {
    return { ...anyOptions, service: this.settings.service };
  }
}

@Module({ providers: [Settings, Factory], exports: [Settings, Factory] })
class SettingsModule {}

const imports = [SettingsModule];

describe('HoldfastModule takes its options', () => {
  it.each([
    ['as they are', HoldfastModule.forRoot({ ...anyOptions, service: 'from settings' })],
    [
      'from a function',
      HoldfastModule.forRootAsync({
        imports,
        inject: [Settings],
        useFactory: ({ service }: Settings): HoldfastOptions => ({ ...anyOptions, service }),
      }),
    ],
    ['from a class', HoldfastModule.forRootAsync({ imports, useClass: Factory })],
    ['from a class that another module has', HoldfastModule.forRootAsync({ imports, useExisting: Factory })],
  ])('%s', async (_form, module) => {
    const { app } = await recordingApp({ imports: [module] });
    expect(app.get(HOLDFAST_OPTIONS)).toMatchObject({ service: 'from settings' });
    await app.close();
  });

  it('from a test that overrides them', async () => {
    const { app } = await recordingApp({}, (builder) => builder.overrideProvider(HOLDFAST_OPTIONS).useValue({ service: 'overridden' }));
    expect(app.get(HOLDFAST_OPTIONS)).toEqual({ service: 'overridden' });
    await app.close();
  });
});

describe('the start is refused', () => {
  @Injectable({ scope: Scope.REQUEST })
  class Tenant {}
  @Injectable()
  class Tenants {
    constructor(
      @Inject(forwardRef(() => Circle)) readonly circle: unknown,
      @Inject(Tenant) readonly tenant: Tenant,
    ) {}
  }
  @Injectable()
  class Circle {
    constructor(@Inject(forwardRef(() => Tenants)) readonly tenants: unknown) {}
  }
  @Injectable({ scope: Scope.REQUEST })
  class ScopedFactory implements HoldfastOptionsFactory {
    createHoldfastOptions = () => anyOptions;
  }
  @Module({ providers: [Tenant, Tenants, Circle], exports: [Tenants] })
  class TenantModule {}
  const useFactory = () => anyOptions;

  it.each([
    ['Tenant', 'at the end of a chain', HoldfastModule.forRootAsync({ imports: [TenantModule], inject: [Tenants], useFactory })],
    ['REQUEST', 'itself', HoldfastModule.forRootAsync({ inject: [REQUEST], useFactory })],
    ['ScopedFactory', 'as the class of the options', HoldfastModule.forRootAsync({ useClass: ScopedFactory })],
  ])('where the options depend on %s, which is made for each request, %s', async (name, _where, module) => {
    const application = Test.createTestingModule({ imports: [module] }).setLogger(silent);
    expect(await problemsOf(application.compile().then((app) => app.init()))).toEqual([
      `the options of HoldfastModule depend on ${name}, which is made for each request, and the bus is made once, before the first one: let them depend only on what is made once`,
    ]);
  });

  it.each([undefined, null, 'shop'])('where the function that makes the options returns %p', async (returned) => {
    const module = HoldfastModule.forRootAsync({ useFactory: () => returned as never });
    const compiled = Test.createTestingModule({ imports: [module] })
      .setLogger(silent)
      .compile();
    expect(await problemsOf(compiled)).toEqual([
      `the options of HoldfastModule are ${returned}: return them from useFactory, or from createHoldfastOptions`,
    ]);
  });
});

it('the bus and its facades can be injected in every module', async () => {
  @Injectable()
  class Everything {
    constructor(
      @Inject(MessageBus) readonly bus: MessageBus,
      @Inject(UnitOfWork) readonly unit: UnitOfWork,
      @Inject(DeadLetters) readonly deadLetters: DeadLetters,
      @Inject(Subscriptions) readonly subscriptions: Subscriptions,
      @Inject(Outbox) readonly outbox: Outbox,
      @Inject(Holdfast) readonly holdfast: Holdfast,
    ) {}
  }
  @Module({ providers: [Everything] })
  class Feature {}
  const { app, engine } = await recordingApp({ imports: [HoldfastModule.forRoot(anyOptions), Feature] });
  expect(app.get(Everything)).toMatchObject({ bus: engine.bus, holdfast: engine });
  expect(app.get(Everything).unit).toBe(engine.unitOfWork);
  await app.close();
});

describe('life', () => {
  it('the engine starts when all modules have initialised, and stops before any of them is shut down', async () => {
    const transcript: string[] = [];
    @Injectable()
    class Neighbour {
      onModuleInit = () => transcript.push('neighbour initialised');
      onApplicationShutdown = () => transcript.push('neighbour destroyed');
    }
    const { app, engine } = await recordingApp({ providers: [Neighbour] });
    const seen = [...transcript, ...engine.transcript];
    engine.transcript.push = (...lines: string[]) => transcript.push(...lines);
    await app.close();
    expect(seen).toEqual(['neighbour initialised', 'start']);
    expect(transcript).toEqual(['neighbour initialised', 'stop', 'neighbour destroyed']);
  });

  it('the engine has started when `onApplicationBootstrap` of any other module runs', async () => {
    const seen: string[][] = [];
    @Injectable()
    class Seed {
      onApplicationBootstrap = async () => {
        await this.write();
        seen.push(['written']);
      };

      @Transactional()
      async write() {}
    }
    @Module({ providers: [Seed] })
    class Deep {}
    @Module({ imports: [Deep], providers: [Seed] })
    class Middle {}
    for (const imports of [
      [Middle, HoldfastModule.forRoot(anyOptions)],
      [HoldfastModule.forRoot(anyOptions), Middle],
    ]) {
      const { app } = await recordingApp({ imports, providers: [Seed] });
      await app.close();
    }
    expect(seen).toHaveLength(6);
  });

  it('a provider the options are made of may have decorated methods: there is no cycle', async () => {
    @Injectable()
    class Settings implements HoldfastOptionsFactory {
      @Transactional()
      async reload() {}

      createHoldfastOptions = () => anyOptions;
    }
    const { app, engine } = await recordingApp({ imports: [HoldfastModule.forRootAsync({ useClass: Settings })] });
    expect(engine.guarded).toEqual(['Settings.reload']);
    await app.close();
  });

  it('a method called before the options are there says so', async () => {
    @Injectable()
    class Early {
      @Transactional()
      async run() {}
    }
    @Module({ providers: [Early], exports: [Early] })
    class EarlyModule {}
    const module = HoldfastModule.forRootAsync({
      imports: [EarlyModule],
      inject: [Early],
      useFactory: async (early: Early) => {
        await early.run();
        return anyOptions;
      },
    });
    expect(
      await problemsOf(
        Test.createTestingModule({ imports: [module] })
          .setLogger(silent)
          .compile(),
      ),
    ).toEqual(['Early.run was called before HoldfastModule had its options']);
  });
});

describe('what the store needs from the container', () => {
  class Connection {}
  const made = (seen: unknown[]) => ({
    ...anyOptions,
    store: {
      store: 'fake',
      tokens: { default: Connection, ledger: 'ledgerConnection' },
      create: ({ handles }: Pick<Runtime, 'handles'>) => {
        seen.push({ ...handles });
        throw new Error('the fake store ends here');
      },
    } as unknown as HoldfastOptions['store'],
  });
  const start = (options: HoldfastOptions, module: unknown) =>
    Test.createTestingModule({ imports: [HoldfastModule.forRoot(options), module as never] })
      .setLogger(silent)
      .compile();

  it('is waited for, also when it takes its time and its module does not export it', async () => {
    const slow = async () => new Promise((resolve) => setTimeout(() => resolve(new Connection()), 20));
    @Module({
      providers: [
        { provide: Connection, useFactory: slow },
        { provide: 'ledgerConnection', useValue: 'ledger' },
      ],
    })
    class DatabaseModule {}
    const seen: unknown[] = [];
    await (await start(made(seen), DatabaseModule)).close();
    expect(seen).toEqual([{ default: expect.any(Connection), ledger: 'ledger' }]);
  });

  it('is left out when no module has it, so that the store can say which is missing', async () => {
    @Module({})
    class Empty {}
    const seen: unknown[] = [];
    await (await start(made(seen), Empty)).close();
    expect(seen).toEqual([{}]);
  });
});

describe('a transactional method', () => {
  it('keeps its transaction in the hooks of other modules too, from the first to the last', async () => {
    const seen: string[] = [];
    @Injectable()
    class Seed {
      onModuleInit = () => this.run('init');
      onApplicationShutdown = () => this.run('shutdown');

      @Transactional()
      async write() {}

      private async run(hook: string) {
        await this.write().then(
          () => seen.push(hook),
          (error: Error) => seen.push(error.message),
        );
      }
    }
    const { app, engine } = await recordingApp({ providers: [Seed] });
    await app.close();
    expect(seen).toEqual(['init', 'shutdown']);
    expect(engine.transcript).toEqual(['transactional({})', 'start', 'stop', 'transactional({})']);
  });
});
