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
import { HOLDFAST_HOST, MethodHost } from '../policies/method-host.js';

/** Ties the engine to the life of the application. */
@Injectable()
export class HoldfastLifecycle implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(
    @Inject(Holdfast) private readonly holdfast: Holdfast,
    @Inject(HoldfastRegistrar) private readonly registrar: HoldfastRegistrar,
    @Inject(HOLDFAST_HOST) private readonly host: MethodHost,
  ) {}

  /** All providers exist: instances that Nest did not make get what their methods need. */
  async onModuleInit(): Promise<void> {
    this.registrar.bindInstances();
    await this.holdfast.open();
    this.host.phase = 'running';
  }

  /** All modules have initialised: handlers may be called from here on. */
  async onApplicationBootstrap(): Promise<void> {
    await this.registrar.register();
    await this.holdfast.start();
  }

  /** Deliveries end here; requests that are still being answered go on using their units of work. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.holdfast.drain();
  }

  /** No request is left. What this needs of the DataSource, which @nestjs/typeorm destroys in the same phase, was done before. */
  async onApplicationShutdown(): Promise<void> {
    await this.holdfast.stop();
    this.host.phase = 'ended';
  }
}
