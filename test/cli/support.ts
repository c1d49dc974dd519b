import { type ChildProcess, fork, spawn } from 'node:child_process';
import { join } from 'node:path';
import { Client } from 'pg';

/** What a run of the command left behind. */
export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

const BIN = join(__dirname, '../../packages/cli/src/bin.ts');

/** File name of a DataSource file of these tests. */
export function fixture(name: string): string {
  return join(__dirname, 'fixtures', name);
}

/** Runs `holdfast` as a process of its own. */
export function runHoldfast(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  preload: readonly string[] = [],
): Promise<Outcome> {
  const child = started(args, env, preload);
  const texts = { out: '', error: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    texts.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    texts.error += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...texts }));
  });
}

/** Runs `holdfast` with nobody who reads what it says, and gives its exit code. */
export function runUnread(args: readonly string[], env: Readonly<Record<string, string>>): Promise<number | null> {
  const child = started(args, env);
  for (const stream of [child.stdout, child.stderr]) stream.destroy();
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', resolve);
  });
}

function started(args: readonly string[], env: Readonly<Record<string, string>>, preload: readonly string[] = []) {
  const hooks = ['from-source.cjs', ...preload].flatMap((file) => ['--require', join(__dirname, file)]);
  return spawn(process.execPath, [...hooks, BIN, ...args], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A program that calls the command as a function, many times over: cheaper than a process for each. */
export class CallingProgram {
  private readonly child: ChildProcess;
  private readonly waiting: ((outcome: Outcome) => void)[] = [];

  constructor(env: Readonly<Record<string, string>>) {
    const execArgv = ['--require', join(__dirname, 'from-source.cjs')];
    this.child = fork(join(__dirname, 'repeater.cjs'), { execArgv, env: { ...process.env, ...env } });
    this.child.on('message', (outcome: Outcome) => this.waiting.shift()?.(outcome));
  }

  run(args: readonly string[]): Promise<Outcome> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.child.send(args);
    });
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.child.on('exit', () => resolve());
      this.child.disconnect();
    });
  }
}

/** One connection, for one piece of work. */
export async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Everything information_schema and the catalogues know of the tables, indexes and sequences of a schema, with the schema's name left out. */
export async function describeSchema(url: string, schema: string): Promise<string> {
  const queries = [
    `select table_name, column_name, data_type, is_nullable, column_default, is_identity, ordinal_position from information_schema.columns where table_schema = $1`,
    `select indexname, indexdef from pg_indexes where schemaname = $1`,
    `select sequencename, cache_size, start_value, increment_by from pg_sequences where schemaname = $1`,
    `select conrelid::regclass::text as relation, conname, pg_get_constraintdef(oid) as definition from pg_constraint where connamespace = $1::regnamespace`,
    `select relname, reloptions from pg_class where relnamespace = $1::regnamespace and relkind in ('r', 'i')`,
  ];
  return withClient(url, async (client) => {
    const lines: string[] = [];
    for (const query of queries) lines.push(...(await client.query(query, [schema])).rows.map((row) => JSON.stringify(row)));
    const meta = await client.query(`select * from ${schema}.holdfast_meta`);
    const lanes = await client.query(`select * from ${schema}.holdfast_lane`);
    lines.push(...[...meta.rows, ...lanes.rows].map((row) => JSON.stringify(row)));
    return lines
      .map((line) => line.replaceAll(`${schema}.`, ''))
      .sort()
      .join('\n');
  });
}
