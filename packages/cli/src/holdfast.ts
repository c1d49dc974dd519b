import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BRANCH_COMMANDS } from './branch.commands.js';
import { EXIT, type ExitCode } from './command.js';
import { readCommandLine } from './command-line.js';
import { DEAD_LETTER_COMMANDS } from './dead-letter.commands.js';
import { helpOf, helpOfAll } from './help.js';
import { OUTBOX_COMMANDS } from './outbox.commands.js';
import { report } from './report.js';
import { SAGA_COMMANDS } from './saga.commands.js';
import { SCHEMA_COMMANDS } from './schema.commands.js';
import { SUBSCRIPTION_COMMANDS } from './subscription.commands.js';
import type { Terminal } from './terminal.js';
import { TRANSPORT_COMMANDS } from './transport.commands.js';

const COMMANDS = [
  ...SCHEMA_COMMANDS,
  ...SUBSCRIPTION_COMMANDS,
  ...DEAD_LETTER_COMMANDS,
  ...OUTBOX_COMMANDS,
  ...SAGA_COMMANDS,
  ...BRANCH_COMMANDS,
  ...TRANSPORT_COMMANDS,
];

/**
 * The command `holdfast` as a function, for a program that wants to run it in its own process. The DataSource of the file is used up by it: unless
 * it was initialized before, it is left with neither entities nor migrations, and closed.
 *
 * @param args what is typed after `holdfast`
 * @param terminal what it reads and writes besides the database
 * @returns the exit code: 0 done, 1 the answer is no or it failed, 2 called wrongly and nothing done; it throws nothing
 */
export async function holdfast(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  try {
    const { command, call } = readCommandLine(args, COMMANDS, terminal);
    if (call.values.version) terminal.write(`${ownVersion()}\n`);
    else if (call.values.help) terminal.write(command === undefined ? helpOfAll(COMMANDS) : helpOf(command));
    else if (command === undefined) {
      terminal.writeError(helpOfAll(COMMANDS));
      return EXIT.usage;
    } else return await command.run(call);
    return EXIT.done;
  } catch (error) {
    const { text, code } = report(error);
    terminal.writeError(`holdfast: ${text}\n`);
    return code;
  }
}

function ownVersion(): string {
  return (JSON.parse(readFileSync(join(__dirname, '../package.json'), 'utf8')) as { version: string }).version;
}
