import { DEFAULT_TRANSPORT, hfError, type SchemaPort, type Store } from '@holdfast/core';
import { type Call, type Command, EXIT, type ExitCode } from './command.js';
import { findTools, withTools } from './connection.js';
import { wholeNumber } from './options.js';

/** Commands about the `holdfast_*` tables. */
export const SCHEMA_COMMANDS: readonly Command[] = [
  {
    words: ['migrate'],
    options: ['data-source', 'schema', 'lanes'],
    summary: 'creates the holdfast tables or brings them up to date; safe to run twice at once',
    run: migrate,
  },
  {
    words: ['status'],
    options: ['data-source', 'schema'],
    summary: 'tells the version of the tables; exit code 1 when it is not the one needed',
    run: status,
  },
  {
    words: ['sql'],
    options: ['data-source', 'schema', 'lanes', 'from'],
    summary: 'prints what migrate would run, for psql -1 -v ON_ERROR_STOP=1; connects to nothing',
    run: sql,
  },
];

function migrate(call: Call): Promise<ExitCode> {
  const { terminal, values } = call;
  return withTools(call, async ({ store, where }) => {
    const { schema } = store;
    const before = (await schema.status()).found;
    const { found } = await schema.migrate();
    if (before === found) terminal.write(`The holdfast tables have version ${found} already, nothing to do (${where}).\n`);
    else terminal.write(`The holdfast tables went from version ${before} to version ${found} (${where}).\n${steps(schema, before, found)}`);
    await assertLanes(store, wholeNumber(values, 'lanes'));
    return EXIT.done;
  });
}

/** Says it when --lanes had no effect: another number was fixed before. */
async function assertLanes({ log }: Store, wanted: number | undefined): Promise<void> {
  if (wanted === undefined) return;
  const { lanes } = await log.stats();
  const found = lanes.filter(({ transport }) => transport === DEFAULT_TRANSPORT).length;
  if (found !== wanted) throw hfError('HF_STORE_LANES_DIFFER', { found, wanted });
}

function steps(schema: SchemaPort, from: number, to: number): string {
  const count = (version: number) => schema.sql(version).split(';\n').length;
  const versions = Array.from({ length: to - from }, (_, index) => from + index + 1);
  return versions.map((version) => `  version ${version}: ${count(version - 1) - count(version)} statements\n`).join('');
}

function status(call: Call): Promise<ExitCode> {
  return withTools(call, async ({ store, where }) => {
    const { found, wanted } = await store.schema.status();
    if (found === wanted) {
      call.terminal.write(`The holdfast tables have version ${found}, the one needed (${where}).\n`);
      return EXIT.done;
    }
    const { message } = hfError(found < wanted ? 'HF_SCHEMA_BEHIND' : 'HF_SCHEMA_AHEAD', { found, needed: wanted });
    call.terminal.write(`${message} (${where})\n`);
    return EXIT.no;
  });
}

async function sql(call: Call): Promise<ExitCode> {
  const from = wholeNumber(call.values, 'from') ?? 0;
  const { tools } = await findTools(call);
  const text = tools.store.schema.sql(from);
  if (text === '') call.terminal.writeError(`Nothing to run from version ${from}: it is the newest one, or newer.\n`);
  call.terminal.write(text);
  return EXIT.done;
}
