import { Holdfast } from '@holdfast/core';
import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap, type OnModuleInit } from '@nestjs/common';
import { HoldfastRegistrar } from '../handlers/holdfast.registrar.js';
import { HOLDFAST_HOST, MethodHost } from '../policies/method-host.js';

/** Ties the engine to the life of the application. */
@Injectable()
export class HoldfastLifecycle implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown {
  constructor(
    @Inject(Holdfast) private readonly holdfast: Holdfast,
    @Inject(HoldfastRegistrar) private readonly registrar: HoldfastRegistrar,
    @Inject(HOLDFAST_HOST) private readonly host: MethodHost,
  ) {}

  /** All providers exist: instances that Nest did not make get what their methods need. */
  onModuleInit(): void {
    this.registrar.bindInstances();
  }

  /** All modules have initialised: handlers may be called from here on. */
  async onApplicationBootstrap(): Promise<void> {
    await this.registrar.register();
    this.host.phase = 'running';
    await this.holdfast.start();
  }

  /** Everything ends here, before any `onApplicationShutdown`: that is where @nestjs/typeorm destroys its DataSources. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.holdfast.stop();
    this.host.phase = 'ended';
  }
}
