import { UsageError } from './usage-error.js';

interface OptionRow {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  /** What stands for the value in the help. */
  readonly value?: string;
  /** Environment variable that is read when the option is not given. */
  readonly env?: string;
  readonly says: string;
}

/** All options of all commands; a command names those it takes. */
export const OPTIONS = {
  'data-source': {
    type: 'string',
    short: 'd',
    value: '<file>',
    env: 'HOLDFAST_DATA_SOURCE',
    says: 'file that exports your TypeORM DataSource, CommonJS or ESM',
  },
  schema: { type: 'string', value: '<name>', env: 'HOLDFAST_SCHEMA', says: "schema of the holdfast tables; default: the connection's" },
  lanes: { type: 'string', value: '<n>', says: 'lanes of the log, 1 to 64, fixed by the first migration; default 32' },
  from: { type: 'string', value: '<version>', says: 'version the tables have now; default 0: there are none' },
  service: {
    type: 'string',
    value: '<name>',
    env: 'HOLDFAST_SERVICE',
    says: 'the service it is about, as in HoldfastModule.forRoot({ service })',
  },
  to: { type: 'string', value: '<transport>', says: 'the transport to move to, as its processes name it, such as rabbitmq' },
  transport: {
    type: 'string',
    value: '<name>',
    says: 'only for this transport, as named in transports; default is the one without a name',
  },
  by: { type: 'string', value: '<name>', says: 'who does it, for the audit table; default: the user of the operating system' },
  reason: { type: 'string', value: '<text>', says: 'why, for the audit table' },
  subscription: { type: 'string', value: '<name>', says: 'only of this subscription' },
  type: { type: 'string', value: '<type>', says: 'only messages of this type' },
  key: { type: 'string', value: '<key>', says: 'only messages with this ordering key' },
  code: { type: 'string', value: '<code>', says: 'only failures with this error code' },
  group: { type: 'string', value: '<group>', says: 'only the same error of the same subscription, as named by dead-letters groups' },
  saga: { type: 'string', value: '<name>', says: 'only of this saga, as in @Saga' },
  method: { type: 'string', value: '<name>', says: 'only of this try, such as Rooms.hold' },
  status: { type: 'string', value: '<status>', says: 'only those that stand like this, such as parked' },
  wait: { type: 'string', value: '<s>', says: 'seconds to wait until a process has done it; default 10; 0 does not wait' },
  since: {
    type: 'string',
    value: '<time>',
    says: 'only dead, parked, started or registered since then, such as 2026-01-31 or 2026-01-31T08:00:00Z',
  },
  until: { type: 'string', value: '<time>', says: 'only dead or parked before then' },
  limit: { type: 'string', value: '<n>', says: 'at most so many, 1 to 1000; default 100' },
  cursor: { type: 'string', value: '<text>', says: 'goes on where the page before ended' },
  json: { type: 'boolean', says: 'JSON instead of a table' },
  help: { type: 'boolean', short: 'h', says: 'this text' },
  version: { type: 'boolean', short: 'v', says: 'the version of this command' },
} as const satisfies Readonly<Record<string, OptionRow>>;

/** The name of an option. */
export type OptionName = keyof typeof OPTIONS;

/** What every command about a service's store takes. */
export const STORE_OPTIONS: readonly OptionName[] = ['data-source', 'schema', 'service'];

/** The options of one call, as they were written. */
export type OptionValues = { readonly [Name in OptionName]?: (typeof OPTIONS)[Name]['type'] extends 'boolean' ? boolean : string };

/** The row of an option, with the fields that not every option has. */
export function optionRow(name: OptionName): OptionRow {
  return OPTIONS[name];
}

/** A whole number that is not negative. @throws UsageError */
export function wholeNumber(values: OptionValues, name: 'lanes' | 'from' | 'limit' | 'wait'): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--${name} is ${JSON.stringify(text)}.`, 'Give a whole number.');
  return Number(text);
}

/** A day, or a time that says where on earth it is meant. */
const TIME = /^(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/;

/** A point in time; a day begins in UTC. @throws UsageError */
export function time(values: OptionValues, name: 'since' | 'until'): Date | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const [, day] = TIME.exec(text) ?? [];
  const date = new Date(text);
  if (day === undefined || !isDay(day) || Number.isNaN(date.getTime())) {
    throw new UsageError(
      `--${name} is ${JSON.stringify(text)}, which is no time.`,
      'Write it as 2026-01-31, 2026-01-31T08:00:00Z or 2026-01-31T08:00:00+01:00.',
    );
  }
  return date;
}

/** The 30th of February would be one of March. */
function isDay(day: string): boolean {
  const date = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
}

/** One of a few words. @throws UsageError */
export function oneOf<Word extends string>(values: OptionValues, name: 'status', words: readonly Word[]): Word | undefined {
  const text = values[name];
  const found = words.find((word) => word === text);
  if (text !== undefined && found === undefined)
    throw new UsageError(`--${name} is ${JSON.stringify(text)}.`, `Use one of: ${words.join(', ')}.`);
  return found;
}

/** An option the command cannot do without. @throws UsageError saying what it is for */
export function required(values: OptionValues, name: 'data-source' | 'service' | 'reason' | 'to'): string {
  const text = values[name];
  if (text) return text;
  const { value, env, says } = optionRow(name);
  throw new UsageError(`--${name} is missing: ${says}.`, `Add --${name} ${value}${env === undefined ? '' : `, or set ${env}`}.`);
}
