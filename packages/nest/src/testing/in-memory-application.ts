import { Holdfast, type HoldfastOptions, type StoreFactory } from '@holdfast/core';
import type { TestingModuleBuilder } from '@nestjs/testing';
import { HOLDFAST_SEAM, type HoldfastSeam } from '../module/holdfast.tokens.js';
import { ApplicationHold } from './application-hold.js';
import { HoldfastTesting } from './holdfast-testing.js';

/** Replaces transports and clock in a module under test, and the store if one is given. */
export function inMemoryApplication(builder: TestingModuleBuilder, { store }: { store?: StoreFactory } = {}): TestingModuleBuilder {
  const hold = new ApplicationHold();
  const seam: HoldfastSeam = {
    options: ({ transport: _transport, transports, ...options }: HoldfastOptions) => ({
      ...options,
      transports: hold.transports(Object.keys(transports ?? {})),
      store: store ?? options.store,
      allowInMemory: true,
    }),
    runtime: hold.runtime,
  };
  builder.overrideProvider(HOLDFAST_SEAM).useValue(seam);
  builder.overrideProvider(HoldfastTesting).useFactory({ inject: [Holdfast], factory: (engine: Holdfast) => hold.attach(engine) });
  return builder;
}
