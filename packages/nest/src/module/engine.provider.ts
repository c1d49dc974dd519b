import { Holdfast, type HoldfastOptions, type Runtime } from '@holdfast/core';
import type { FactoryProvider } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { HOLDFAST_HOST, type MethodHost } from '../policies/method-host.js';
import { HOLDFAST_OPTIONS, HOLDFAST_SEAM, type HoldfastSeam } from './holdfast.tokens.js';
import { NestLoggerAdapter } from './nest-logger.js';

/** Makes the engine of an application from its options. */
export const engineProvider: FactoryProvider<Holdfast> = {
  provide: Holdfast,
  inject: [HOLDFAST_OPTIONS, HOLDFAST_SEAM, HOLDFAST_HOST, ModuleRef],
  useFactory: (given: HoldfastOptions, seam: HoldfastSeam, host: MethodHost, modules: ModuleRef): Holdfast => {
    const options = seam.options?.(given) ?? given;
    const runtime: Partial<Runtime> = { logger: new NestLoggerAdapter(), handles: handlesOf(options, modules), ...seam.runtime };
    const holdfast = new Holdfast(options, runtime);
    host.attach(holdfast);
    return holdfast;
  },
};

/** What the store needs from the container, looked up when it is asked for: a DataSource may not be there yet. */
function handlesOf({ store }: HoldfastOptions, modules: ModuleRef): Record<string, unknown> {
  const handles: Record<string, unknown> = {};
  for (const [name, token] of Object.entries(store?.tokens ?? {})) {
    Object.defineProperty(handles, name, { enumerable: true, get: () => modules.get(token as string, { strict: false }) });
  }
  return handles;
}
