import { type AtLeastOne, printable } from '@holdfast/core';
import type { Call } from './command.js';
import type { OptionName } from './options.js';
import { UsageError } from './usage-error.js';

/** The fields of a filter that were given. */
export function given<F extends object>(filter: { readonly [K in keyof F]: F[K] | undefined }): F {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as F;
}

/**
 * What an action is about: the id that is its argument, or a filter.
 *
 * @param what it is, for the error: `dead letter`
 * @param options that make up the filter
 * @throws UsageError when neither is given, or both
 */
export function choiceOf<F extends object>(
  { argument }: Call,
  filter: F,
  { what, options }: { readonly what: string; readonly options: readonly OptionName[] },
): string | AtLeastOne<F> {
  const names = Object.keys(filter);
  if (argument === undefined && names.length === 0)
    throw new UsageError(`No ${what} is named.`, `Give its id, or at least one of: ${options.map((name) => `--${name}`).join(', ')}.`);
  if (argument !== undefined && names.length > 0)
    throw new UsageError(`Both the id ${printable(argument)} and --${names[0]} are given.`, 'Give the id, or a filter.');
  // Not empty, as was just seen.
  return argument ?? (filter as AtLeastOne<F>);
}
