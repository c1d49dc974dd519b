import {
  Branches,
  DeadLetters,
  Holdfast,
  hfError,
  type HoldfastOptions,
  MessageBus,
  Outbox,
  Sagas,
  Subscriptions,
  UnitOfWork,
} from '@holdfast/core';
import {
  type ConfigurableModuleAsyncOptions,
  ConfigurableModuleBuilder,
  type DynamicModule,
  type FactoryProvider,
  Inject,
  Module,
} from '@nestjs/common';
import { DiscoveryModule, ModulesContainer } from '@nestjs/core';
import { ExceptionFilters } from '../handlers/exception-filters.js';
import { HandlerContext } from '../handlers/handler-context.js';
import { HoldfastExplorer } from '../handlers/holdfast.explorer.js';
import { HoldfastMetadataAccessor } from '../handlers/holdfast-metadata.accessor.js';
import { HoldfastRegistrar } from '../handlers/holdfast.registrar.js';
import { SagaRegistrar } from '../handlers/saga.registrar.js';
import { TryRegistrar } from '../handlers/try.registrar.js';
import { HoldfastClientProxy } from '../microservices/holdfast.client-proxy.js';
import { HoldfastStrategy } from '../microservices/holdfast.strategy.js';
import { hasMicroservices } from '../microservices/nest-microservices.js';
import { PatternRegistrar } from '../microservices/pattern.registrar.js';
import { HoldfastHealthIndicator } from '../health/holdfast.health.js';
import { ClsTransactions } from '../neighbours/cls-transactions.js';
import { HOLDFAST_HOST, MethodHost } from '../policies/method-host.js';
import { HoldfastTesting } from '../testing/holdfast-testing.js';
import { engineProvider } from './engine.provider.js';
import { HoldfastLifecycle } from './holdfast.lifecycle.js';
import { HOLDFAST_OPTIONS, HOLDFAST_SEAM } from './holdfast.tokens.js';
import { OptionsCheck } from './options-check.js';

const { ConfigurableModuleClass } = new ConfigurableModuleBuilder<HoldfastOptions>({ optionsInjectionToken: HOLDFAST_OPTIONS })
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createHoldfastOptions')
  .build();

/** One of the engine's facades, injectable by its abstract class. */
function facade<T>(provide: abstract new () => T, of: (holdfast: Holdfast) => T): FactoryProvider<T> {
  return { provide, inject: [Holdfast], useFactory: of };
}

const FACADES = [
  facade(MessageBus, ({ bus }) => bus),
  facade(Sagas, ({ sagas }) => sagas),
  facade(Branches, ({ branches }) => branches),
  facade(UnitOfWork, ({ unitOfWork }) => unitOfWork),
  facade(DeadLetters, ({ deadLetters }) => deadLetters),
  facade(Subscriptions, ({ subscriptions }) => subscriptions),
  facade(Outbox, ({ outbox }) => outbox),
];

/** For Nest's own handlers and clients, in applications that have them. */
const MICROSERVICES = hasMicroservices ? [HoldfastStrategy, HoldfastClientProxy] : [];

/**
 * Registers the bus, globally, once per application: `MessageBus`, `UnitOfWork`, `Sagas`, `Branches`, `DeadLetters`, `Subscriptions`, `Outbox` and `Holdfast` can be
 * injected everywhere, and decorated methods of all providers and controllers work.
 *
 * In `onModuleInit`, before that of modules that are not global, all decorators are checked, then the tables; `@Transactional` methods work from
 * there on. Deliveries, and `@Idempotent` methods, begin when all modules have initialised (`onApplicationBootstrap`). It stops in
 * `beforeApplicationShutdown`, before any DataSource is destroyed; for that, call `app.enableShutdownHooks()` or `app.close()`.
 */
@Module({
  imports: [DiscoveryModule],
  providers: [
    { provide: HOLDFAST_SEAM, useValue: {} },
    { provide: HOLDFAST_HOST, useClass: MethodHost },
    OptionsCheck,
    engineProvider,
    ...FACADES,
    // A factory: in Nest 11 a test could not replace a value by one.
    { provide: HoldfastTesting, useFactory: () => null },
    HoldfastMetadataAccessor,
    HoldfastExplorer,
    ExceptionFilters,
    HandlerContext,
    ...MICROSERVICES,
    PatternRegistrar,
    SagaRegistrar,
    TryRegistrar,
    HoldfastRegistrar,
    ClsTransactions,
    HoldfastLifecycle,
    HoldfastHealthIndicator,
  ],
  exports: [HOLDFAST_HOST, Holdfast, HoldfastHealthIndicator, ...FACADES, ...MICROSERVICES],
})
export class HoldfastModule extends ConfigurableModuleClass {
  /** @throws HF_CONFIG_INVALID when the application has it twice */
  constructor(@Inject(ModulesContainer) modules: ModulesContainer) {
    super();
    const registered = [...modules.values()].filter(({ metatype }) => metatype === HoldfastModule);
    if (registered.length > 1) {
      throw hfError('HF_CONFIG_INVALID', {
        problems: [
          `HoldfastModule is registered ${registered.length} times in this application; it is global: keep the one in the root module`,
        ],
      });
    }
  }

  /**
   * Registers it with options known now.
   *
   * @param options all that is wrong with them, and with the decorated methods, is reported together as HF_CONFIG_INVALID before anything starts
   */
  static override forRoot(options: HoldfastOptions): DynamicModule {
    return { ...ConfigurableModuleClass.forRoot(options), module: HoldfastModule, global: true };
  }

  /**
   * Registers it with options that come from other providers.
   *
   * @param options `useFactory` with `inject`, or a HoldfastOptionsFactory by `useClass` or `useExisting`; `imports` gives what they need
   */
  static override forRootAsync(options: ConfigurableModuleAsyncOptions<HoldfastOptions, 'createHoldfastOptions'>): DynamicModule {
    return { ...ConfigurableModuleClass.forRootAsync(options), module: HoldfastModule, global: true };
  }
}
