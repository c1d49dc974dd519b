import { Holdfast } from '@holdfast/core';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { HoldfastRegistrar } from '../handlers/holdfast.registrar.js';
import { ClsTransactions } from '../neighbours/cls-transactions.js';
import { HOLDFAST_HOST, MethodHost } from '../policies/method-host.js';

/** Ties the engine to the life of the application. */
@Injectable()
export class HoldfastLifecycle implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  /** Microservices that are connected with `deferInitialization` run the hooks of the application once more, side by side. */
  private initialised: Promise<void> | undefined;
  private started: Promise<void> | undefined;

  constructor(
    @Inject(Holdfast) private readonly holdfast: Holdfast,
    @Inject(HoldfastRegistrar) private readonly registrar: HoldfastRegistrar,
    @Inject(HOLDFAST_HOST) private readonly host: MethodHost,
    @Inject(ClsTransactions) private readonly clsTransactions: ClsTransactions,
  ) {}

  /** All providers exist: all decorators are known, and what is wrong with them is told before the database is touched. */
  onModuleInit(): Promise<void> {
    this.initialised ??= this.initialise();
    return this.initialised;
  }

  private async initialise(): Promise<void> {
    this.registrar.bindInstances();
    await this.registrar.register();
    await this.holdfast.open();
    this.clsTransactions.joinAll();
    this.host.phase = 'running';
  }

  /** All modules have initialised: handlers may be called from here on. */
  onApplicationBootstrap(): Promise<void> {
    this.started ??= this.holdfast.start();
    return this.started;
  }

  /** Deliveries end here; requests that are still being answered go on using their units of work, and publish. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.holdfast.drain();
  }

  /** No request is left. What this needs of the DataSource, which @nestjs/typeorm destroys in the same phase, was done before. */
  async onApplicationShutdown(): Promise<void> {
    await this.holdfast.stop();
    this.host.phase = 'ended';
  }
}
