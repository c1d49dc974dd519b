import { setTimeout as sleep } from 'node:timers/promises';
import { hfError, printable, type SagaFilter, type SagaInstance, type SagaRepair, type SagaStanding } from '@holdfast/core';
import { given } from './choice.js';
import { type Call, type Command, EXIT, type ExitCode } from './command.js';
import { type ConnectedTools, withOperators } from './connection.js';
import { factLines } from './facts-text.js';
import { actionOf } from './operator.js';
import { oneOf, type OptionName, required, time, wholeNumber } from './options.js';
import { json, table } from './table.js';

const STORE_OPTIONS: readonly OptionName[] = ['data-source', 'schema', 'service'];
const STATUSES: readonly SagaStanding[] = ['running', 'waiting', 'compensating', 'completed', 'compensated', 'parked'];
const WAIT_S = 10;
const LOOK_MS = 200;

/** What is left for a process that has the definition, and what its history says when it was done. */
const ASKED = {
  resume: { event: 'resumed', says: 'resumed', summary: 'lets a parked saga go on from where it stands, with fresh attempts' },
  retry: { event: 'retried', says: 'tried once more', summary: 'runs the failed step or compensation of a parked saga again, once' },
  skip: {
    event: 'skipped',
    says: 'past that step',
    summary: 'takes the failed step or compensation of a parked saga as done by hand; needs --reason',
  },
  cancel: { event: 'turned-back', says: 'being undone', summary: 'undoes a saga that is not past its pivot; needs --reason' },
} as const;

/** Operators' commands about sagas. */
export const SAGA_COMMANDS: readonly Command[] = [
  {
    words: ['sagas', 'list'],
    options: [...STORE_OPTIONS, 'saga', 'status', 'since', 'limit', 'cursor', 'json'],
    summary: 'lists the sagas of a service, the last started first',
    run: list,
  },
  {
    words: ['sagas', 'show'],
    argument: { name: 'id', isRequired: true },
    options: [...STORE_OPTIONS, 'json'],
    summary: 'shows one with its history',
    run: show,
  },
  asking('resume'),
  asking('retry'),
  asking('skip'),
  asking('cancel'),
  {
    words: ['sagas', 'purge'],
    argument: { name: 'id', isRequired: true },
    options: [...STORE_OPTIONS, 'by', 'reason'],
    summary: 'deletes one that is completed or compensated, with its history; needs --reason',
    run: purge,
  },
];

function list(call: Call): Promise<ExitCode> {
  const { terminal, values } = call;
  const filter = given<SagaFilter>({ saga: values.saga, status: oneOf(values, 'status', STATUSES), since: time(values, 'since') });
  const page = { limit: wholeNumber(values, 'limit'), cursor: values.cursor };
  return withOperators(call, async ({ sagas }, service) => {
    const { items, next } = await sagas.list({ ...filter, ...page });
    if (values.json) terminal.write(json({ items, next }));
    else if (items.length === 0) terminal.write(`The service ${printable(service)} has no such sagas.\n`);
    else {
      const rows = items.map(({ id, saga, version, status, step, attempts, updatedAt, waitsFor, failure }) => [
        id,
        `${saga} ${version}`,
        status,
        step,
        attempts,
        updatedAt,
        failure?.message ?? waitsFor[0],
      ]);
      terminal.write(table(['ID', 'SAGA', 'STATUS', 'STEP', 'ATTEMPTS', 'CHANGED', 'WHY'], rows));
      if (next !== undefined) terminal.writeError(`More follow: --cursor ${JSON.stringify(next)}\n`);
    }
    return EXIT.done;
  });
}

function show(call: Call): Promise<ExitCode> {
  const id = call.argument as string;
  return withOperators(call, async ({ sagas }) => {
    const saga = await found(sagas, id);
    call.terminal.write(call.values.json ? json(saga) : sagaText(saga));
    return EXIT.done;
  });
}

function asking(what: SagaRepair | 'cancel'): Command {
  const { event, says, summary } = ASKED[what];
  return {
    words: ['sagas', what],
    argument: { name: 'id', isRequired: true },
    options: [...STORE_OPTIONS, 'by', 'reason', 'wait'],
    summary,
    run: (call) => {
      const id = call.argument as string;
      const isForGood = what === 'skip' || what === 'cancel';
      const action = isForGood ? { ...actionOf(call), reason: required(call.values, 'reason') } : actionOf(call);
      const waitMs = (wholeNumber(call.values, 'wait') ?? WAIT_S) * 1000;
      return withOperators(call, async ({ sagas }, service) => {
        const known = (await found(sagas, id)).history.length;
        await sagas.ask(what, id, action);
        const isDone = async () => (await found(sagas, id)).history.slice(known).some((line) => line.event === event);
        const isSeen = await within(waitMs, isDone);
        if (isSeen) call.terminal.write(`${printable(id)} is ${says}.\n`);
        else call.terminal.writeError(notYet(service, { what, id }));
        return isSeen || waitMs === 0 ? EXIT.done : EXIT.no;
      });
    },
  };
}

/** What is asked is kept, also where nobody is there to do it. */
function notYet(service: string, { what, id }: { readonly what: string; readonly id: string }): string {
  const exception = what === 'cancel' ? ', unless the saga is past its pivot' : '';
  return `A process of ${printable(service)} that has this version of the saga does it when it looks next${exception}. \`holdfast sagas show ${printable(id)}\` tells.\n`;
}

function purge(call: Call): Promise<ExitCode> {
  const id = call.argument as string;
  const action = { ...actionOf(call), reason: required(call.values, 'reason') };
  return withOperators(call, async ({ sagas }) => {
    await sagas.purge(id, action);
    call.terminal.write(`${printable(id)} is deleted.\n`);
    return EXIT.done;
  });
}

async function found(sagas: ConnectedTools['sagas'], id: string): Promise<SagaInstance> {
  const saga = await sagas.get(id);
  if (saga === undefined) throw hfError('HF_SAGA_UNKNOWN', { id });
  return saga;
}

async function within(waitMs: number, isDone: () => Promise<boolean>): Promise<boolean> {
  for (const untilMs = performance.now() + waitMs; performance.now() < untilMs; await sleep(LOOK_MS)) if (await isDone()) return true;
  return false;
}

function sagaText({ id, saga, version, status, step, attempts, waitsFor, failure, startedAt, updatedAt, history }: SagaInstance): string {
  const facts = factLines({
    id,
    saga,
    version,
    status,
    step,
    attempts,
    'waits for': waitsFor.join('; '),
    failure: failure && `${failure.step}: ${failure.message} (${failure.code})`,
    started: startedAt,
    changed: updatedAt,
  });
  const rows = history.map(({ at, step: ofStep, event, detail }) => [at, ofStep, event, detail]);
  return `${facts.join('\n')}\n\n${table(['AT', 'STEP', 'EVENT', 'DETAIL'], rows)}`;
}
