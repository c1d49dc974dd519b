import type { OptionName, OptionValues } from './options.js';
import type { Terminal } from './terminal.js';

/** How a command ended: it was done, the answer is no or it failed, it was called wrongly. */
export const EXIT = { done: 0, no: 1, usage: 2 } as const;

/** One of the exit codes. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** One call of a command. */
export interface Call {
  /** The argument after the command's words, if one was given. */
  readonly argument: string | undefined;
  readonly values: OptionValues;
  readonly terminal: Terminal;
}

/** A verb of the command line. */
export interface Command {
  /** What is typed for it, such as `dead-letters list`. */
  readonly words: readonly string[];
  /** Name of the argument it takes after its words. */
  readonly argument?: { readonly name: string; readonly isRequired: boolean };
  readonly options: readonly OptionName[];
  /** One line for the help. */
  readonly summary: string;
  run(call: Call): Promise<ExitCode>;
}
