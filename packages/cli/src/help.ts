import type { Command } from './command.js';
import { type OptionName, optionRow } from './options.js';

const FOOTER = `Exit codes: 0 done; 1 the answer is no (status: behind or ahead), or it failed; 2 called wrongly, nothing was done.
`;

/** The help of the whole command. */
export function helpOfAll(commands: readonly Command[]): string {
  const usages = commands.map((command) => [usageOf(command), command.summary] as const);
  return `Usage: holdfast <command> [options]

${columns(usages)}

holdfast <command> --help lists the options of one.
${FOOTER}`;
}

/** The help of one command. */
export function helpOf(command: Command): string {
  return `Usage: holdfast ${usageOf(command)} [options]

${command.summary}

${columns([...command.options, 'help' as const].map((option) => [flagOf(option), textOf(option)]))}

${FOOTER}`;
}

function usageOf({ words, argument }: Command): string {
  const suffix = argument === undefined ? [] : [argument.isRequired ? `<${argument.name}>` : `[<${argument.name}>]`];
  return [...words, ...suffix].join(' ');
}

function flagOf(option: OptionName): string {
  const { short, value } = optionRow(option);
  return `${short === undefined ? '    ' : `-${short}, `}--${option}${value === undefined ? '' : ` ${value}`}`;
}

function textOf(option: OptionName): string {
  const { says, env } = optionRow(option);
  return env === undefined ? says : `${says} (or ${env})`;
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}
