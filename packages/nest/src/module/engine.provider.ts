import { Holdfast, hfError, type HoldfastOptions, type Runtime } from '@holdfast/core';
import type { FactoryProvider } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { HOLDFAST_HOST, type MethodHost } from '../policies/method-host.js';
import { HOLDFAST_OPTIONS, HOLDFAST_SEAM, type HoldfastSeam } from './holdfast.tokens.js';
import { NestLoggerAdapter } from './nest-logger.js';
import { resolveHandle } from './resolve-handle.js';

/** Makes the engine of an application from its options, as soon as the providers its store is made of are there. */
export const engineProvider: FactoryProvider<Promise<Holdfast>> = {
  provide: Holdfast,
  inject: [HOLDFAST_OPTIONS, HOLDFAST_SEAM, HOLDFAST_HOST, ModulesContainer],
  // tidy: parameter-count: Nest calls it with what `inject` names
  useFactory: async (given: HoldfastOptions, seam: HoldfastSeam, host: MethodHost, modules: ModulesContainer): Promise<Holdfast> => {
    if (typeof given !== 'object' || given === null) {
      const problem = `the options of HoldfastModule are ${given}: return them from useFactory, or from createHoldfastOptions`;
      throw hfError('HF_CONFIG_INVALID', { problems: [problem] });
    }
    const options = seam.options?.(given) ?? given;
    const handles = await handlesOf(options, modules);
    const runtime: Partial<Runtime> = { logger: new NestLoggerAdapter(), handles, ...seam.runtime };
    const holdfast = new Holdfast(options, runtime);
    host.attach(holdfast);
    return holdfast;
  },
};

/** What the store needs from the container, by the names it gave; the store says itself what is missing. */
async function handlesOf(options: HoldfastOptions | undefined, modules: ModulesContainer): Promise<Record<string, unknown>> {
  const tokens = Object.entries(options?.store?.tokens ?? {});
  const resolved = await Promise.all(tokens.map(async ([name, token]) => [name, await resolveHandle(modules, token)] as const));
  return Object.fromEntries(resolved.filter(([, handle]) => handle !== undefined));
}
