import type { HoldfastOptions, Runtime } from '@holdfast/core';

/** Token of the options, for `overrideProvider`. */
export const HOLDFAST_OPTIONS: unique symbol = Symbol.for('holdfast.nest.options');

/** Where a test takes hold of an application; not for users. */
export const HOLDFAST_SEAM: unique symbol = Symbol.for('holdfast.nest.seam');

/** What a test changes about an application before it is made. */
export interface HoldfastSeam {
  /** Other transports, another store. */
  options?(options: HoldfastOptions): HoldfastOptions;
  /** Other time, other randomness. */
  readonly runtime?: Partial<Runtime>;
}

/** What `useClass` and `useExisting` must offer. */
export interface HoldfastOptionsFactory {
  createHoldfastOptions(): HoldfastOptions | Promise<HoldfastOptions>;
}
