import { parseArgs } from 'node:util';
import type { Call, Command } from './command.js';
import { OPTIONS, type OptionName, optionRow, type OptionValues } from './options.js';
import type { Terminal } from './terminal.js';
import { UsageError } from './usage-error.js';

const GENERAL: readonly OptionName[] = ['help', 'version'];

/** What was asked for: a command, or only words about it. */
export interface Asked {
  /** Undefined: none was named. */
  readonly command: Command | undefined;
  readonly call: Call;
}

/**
 * Reads a command line. Options may stand anywhere; what is missing is looked up in the environment.
 *
 * @throws UsageError for a command, an option or an argument there is not
 */
export function readCommandLine(args: readonly string[], commands: readonly Command[], terminal: Terminal): Asked {
  const { values, positionals } = parse(args);
  const given = Object.keys(values) as OptionName[];
  if (positionals.length === 0) {
    assertAllowed(given, GENERAL, 'holdfast without a command');
    return { command: undefined, call: { argument: undefined, values, terminal } };
  }
  const command = find(positionals, commands);
  const name = `holdfast ${command.words.join(' ')}`;
  assertAllowed(given, [...command.options, ...GENERAL], name);
  const rest = positionals.slice(command.words.length);
  const isInformation = values.help === true || values.version === true;
  if (!isInformation) assertArgument(rest, command, name);
  return { command, call: { argument: rest[0], values: { ...fromEnvironment(command, terminal), ...values }, terminal } };
}

function parse(args: readonly string[]): { values: OptionValues; positionals: string[] } {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    // Node's own sentences about an unknown option or a missing value; what follows the first one speaks of other programs.
    const [problem] = (error as Error).message.split(/\.(?: |\n|$)|\n/);
    throw new UsageError(`${problem}.`, 'See holdfast --help.');
  }
}

function find(positionals: readonly string[], commands: readonly Command[]): Command {
  const found = commands.find(({ words }) => words.every((word, index) => positionals[index] === word));
  if (found !== undefined) return found;
  const [first, second] = positionals;
  const verbs = commands.filter(({ words }) => words.length > 1 && words[0] === first).map(({ words }) => words[1]);
  if (verbs.length > 0) {
    const problem =
      second === undefined ? `holdfast ${first} is no whole command.` : `holdfast ${first} has no verb ${JSON.stringify(second)}.`;
    throw new UsageError(problem, `Use one of: ${verbs.join(', ')}.`);
  }
  const known = [...new Set(commands.map(({ words }) => words[0]))];
  throw new UsageError(`There is no command ${JSON.stringify(first)}.`, `Use one of: ${known.join(', ')}.`);
}

function assertAllowed(given: readonly OptionName[], allowed: readonly OptionName[], name: string): void {
  const wrong = given.find((option) => !allowed.includes(option));
  if (wrong !== undefined)
    throw new UsageError(`${name} takes no --${wrong}.`, `It takes: ${allowed.map((option) => `--${option}`).join(', ')}.`);
}

function assertArgument(rest: readonly string[], { argument }: Command, name: string): void {
  const usage = argument === undefined ? name : `${name} <${argument.name}>`;
  if (argument?.isRequired && !rest[0]) throw new UsageError(`${name} needs a ${argument.name}.`, `Write ${usage}.`);
  const surplus = rest[argument === undefined ? 0 : 1];
  if (surplus !== undefined) throw new UsageError(`${JSON.stringify(surplus)} is one argument too many.`, `Write ${usage}.`);
}

function fromEnvironment(command: Command, { env }: Terminal): OptionValues {
  const found = command.options.flatMap((option) => {
    const variable = optionRow(option).env;
    const value = variable === undefined ? undefined : env[variable];
    return value ? [[option, value] as const] : [];
  });
  return Object.fromEntries(found);
}
