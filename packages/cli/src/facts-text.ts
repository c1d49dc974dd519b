import { printable } from '@holdfast/core';

const NAME_WIDTH = 14;
/** Longest text of one thing that is shown by itself; all of it is in the JSON output. */
export const WHOLE_LENGTH = 64 * 1024;

/** Facts as lines for a person, without those that are missing. What came from outside is made printable. */
export function factLines(facts: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(facts)
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => `${name.padEnd(NAME_WIDTH)}${printable(value, WHOLE_LENGTH)}`);
}
