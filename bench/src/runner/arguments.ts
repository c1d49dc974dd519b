import { parseArgs } from 'node:util';

/** What the command line asks for. */
export interface Arguments {
  readonly isQuick: boolean;
  /** File for the results as JSON. */
  readonly json: string | undefined;
  /** Only cases whose name contains one of these. */
  readonly only: readonly string[];
}

const OPTIONS = { quick: { type: 'boolean' }, json: { type: 'string' }, only: { type: 'string', multiple: true } } as const;
const VALID = '--quick, --json FILE, and --only NAME as often as you like';
/** As programs end that were called wrongly. */
const WRONG_CALL = 2;

/** Reads the command line. Of what it does not know it says so in a sentence, and has the program end with 2; then there are none. */
export function readArguments(args: readonly string[], cases: readonly string[]): Arguments | undefined {
  const { values, tokens } = parseArgs({ args: [...args], options: OPTIONS, strict: false, tokens: true });
  const wrong = tokens.map(wrongIn).find((text) => text !== undefined);
  if (wrong !== undefined) return refuse(`${wrong}: there are ${VALID}.`);
  const only = (values.only ?? []) as readonly string[];
  const unknown = only.find((part) => !cases.some((name) => name.includes(part)));
  if (unknown !== undefined) return refuse(`--only ${unknown} is in the name of no case: there are ${cases.join(', ')}.`);
  return { isQuick: values.quick === true, json: values.json as string | undefined, only };
}

type Token = NonNullable<ReturnType<typeof parseArgs>['tokens']>[number];

function wrongIn(token: Token): string | undefined {
  if (token.kind !== 'option') return token.kind === 'positional' ? `${token.value} is not understood` : undefined;
  const { name, rawName, value, inlineValue } = token;
  const type = Object.hasOwn(OPTIONS, name) ? OPTIONS[name as keyof typeof OPTIONS].type : undefined;
  if (type === undefined) return `${rawName} is not understood`;
  if (type === 'boolean') return value === undefined ? undefined : `${rawName} takes no value`;
  const isMissing = value === undefined || value === '' || (!inlineValue && value.startsWith('-'));
  return isMissing ? `${rawName} needs a value` : undefined;
}

function refuse(sentence: string): undefined {
  console.error(`bench: ${sentence}`);
  process.exitCode = WRONG_CALL;
}
