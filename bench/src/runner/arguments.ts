import { parseArgs } from 'node:util';

/** What the command line asks for. */
export interface Arguments {
  readonly isQuick: boolean;
  /** File for the results as JSON. */
  readonly json: string | undefined;
  /** Only cases whose name contains one of these. */
  readonly only: readonly string[];
}

/** Reads the command line. @throws TypeError for what it does not know */
export function readArguments(args: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...args],
    options: { quick: { type: 'boolean' }, json: { type: 'string' }, only: { type: 'string', multiple: true } },
  });
  return { isQuick: values.quick === true, json: values.json, only: values.only ?? [] };
}
