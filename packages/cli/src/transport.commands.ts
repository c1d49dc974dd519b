import { hfError, printable, problemOfTransportName } from '@holdfast/core';
import { type Call, type Command, EXIT, type ExitCode } from './command.js';
import { withOperators, withTools } from './connection.js';
import { actionOf } from './operator.js';
import { required, STORE_OPTIONS } from './options.js';
import { json, table } from './table.js';

/** Operators' commands about what carries the messages. */
export const TRANSPORT_COMMANDS: readonly Command[] = [
  {
    words: ['transport', 'show'],
    options: [...STORE_OPTIONS, 'json'],
    summary: 'tells what carries the messages of each subscription of the database, and over what its processes run',
    run: show,
  },
  {
    words: ['transport', 'switch'],
    options: [...STORE_OPTIONS, 'to', 'by', 'reason'],
    summary: 'moves all services of the database from its log to a broker; needs --to',
    run: change,
  },
  {
    words: ['transport', 'add'],
    argument: { name: 'name', isRequired: true },
    options: ['data-source', 'schema'],
    summary: 'makes the lanes of a further transport, as named in transports, where migrate is false; safe to run twice at once',
    run: add,
  },
  {
    words: ['transport', 'discard'],
    argument: { name: 'name', isRequired: true },
    options: [...STORE_OPTIONS, 'by', 'reason'],
    summary: 'gives up all that waits for a transport that no process has any more; needs --reason',
    run: discard,
  },
];

function show(call: Call): Promise<ExitCode> {
  const { terminal, values } = call;
  return withOperators(call, async ({ store }) => {
    const info = await store.carrier.show();
    if (values.json) terminal.write(json(info));
    else {
      terminal.write(info.carrier === 'log' ? 'The log is read by its subscriptions.\n' : 'The log is sent to a broker.\n');
      const rows = info.subscriptions.map(({ service, name, state, carrier, backlog, transports }) => [
        service,
        name,
        state,
        carrier,
        backlog,
        transports.join(' '),
      ]);
      terminal.write(table(['SERVICE', 'SUBSCRIPTION', 'STATE', 'CARRIER', 'LEFT IN THE LOG', 'RUNS OVER'], rows));
    }
    return EXIT.done;
  });
}

function add(call: Call): Promise<ExitCode> {
  const name = call.argument as string;
  const wrong = problemOfTransportName(name);
  if (wrong !== undefined) throw hfError('HF_TRANSPORT_NAME', { name: printable(name), reason: wrong });
  return withTools(call, async ({ store, where }) => {
    const { found, wanted } = await store.schema.status();
    if (found < wanted) throw hfError('HF_SCHEMA_BEHIND', { found, needed: wanted });
    const missing = await store.schema.transportsWithoutLanes([name]);
    await store.schema.addTransports(missing);
    call.terminal.write(missing.length === 0 ? `${name} has its lanes already (${where}).\n` : `${name} has its lanes now (${where}).\n`);
    return EXIT.done;
  });
}

function discard(call: Call): Promise<ExitCode> {
  const name = call.argument as string;
  const action = { ...actionOf(call), reason: required(call.values, 'reason') };
  return withOperators(call, async ({ outbox }) => {
    const { count } = await outbox.discardTransport(name, action);
    call.terminal.write(`${count} ${count === 1 ? 'message' : 'messages'} for ${name} given up.\n`);
    return EXIT.done;
  });
}

function change(call: Call): Promise<ExitCode> {
  const to = required(call.values, 'to');
  const action = actionOf(call);
  return withOperators(call, async ({ store }) => {
    await store.carrier.switchTo(to, action);
    call.terminal.write(
      `What is written from now on goes over ${to}. \`holdfast transport show\` tells which subscriptions still read the log.\n`,
    );
    return EXIT.done;
  });
}
