import { setTimeout as sleep } from 'node:timers/promises';
import {
  hfError,
  printable,
  type SagaFilter,
  type SagaInstance,
  type SagaRepair,
  type SagaStanding,
  type SagaWordActedOn,
  type SagaWordEnd,
} from '@holdfast/core';
import { given } from './choice.js';
import { type Call, type Command, EXIT, type ExitCode } from './command.js';
import { type ConnectedTools, withOperators } from './connection.js';
import { factLines, WHOLE_LENGTH } from './facts-text.js';
import { actionOf } from './operator.js';
import { oneOf, required, time, STORE_OPTIONS, wholeNumber } from './options.js';
import { writePage } from './page.js';
import { json, table } from './table.js';

const STATUSES: readonly SagaStanding[] = ['running', 'waiting', 'compensating', 'completed', 'compensated', 'parked'];
const WAIT_S = 10;
const LOOK_MS = 200;

/** What is left for a process that has the definition, and what the saga is when that was done. */
const ASKED = {
  resume: { says: 'resumed', summary: 'lets a parked saga go on from where it stands, with fresh attempts' },
  retry: { says: 'tried once more', summary: 'runs the failed step or compensation of a parked saga again, once' },
  skip: {
    says: 'past that step',
    summary: 'takes the failed step or compensation of a parked saga as done by hand; needs --reason',
  },
  cancel: { says: 'being undone', summary: 'undoes a saga that is not past its pivot; needs --reason' },
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
  const { values } = call;
  const filter = given<SagaFilter>({ saga: values.saga, status: oneOf(values, 'status', STATUSES), since: time(values, 'since') });
  const page = { limit: wholeNumber(values, 'limit'), cursor: values.cursor };
  return withOperators(call, async ({ sagas }, service) => {
    writePage(call, await sagas.list({ ...filter, ...page }), {
      none: `The service ${printable(service)} has no such sagas.`,
      headings: ['ID', 'SAGA', 'STATUS', 'STEP', 'ATTEMPTS', 'CHANGED', 'WHY'],
      row: ({ id, saga, version, status, step, attempts, updatedAt, waitsFor, failure }) => [
        id,
        `${saga} ${version}`,
        status,
        step,
        attempts,
        updatedAt,
        failure?.message ?? waitsFor[0],
      ],
    });
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
  const { summary } = ASKED[what];
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
        const word = await sagas.ask(what, id, action);
        const leaveWord = () => call.terminal.writeError(notYet(service, { what, id }));
        const end = await within(waitMs, () => sagas.becameOf(word)).catch((error) => {
          // The word is left all the same.
          leaveWord();
          throw error;
        });
        if (end === 'dropped') call.terminal.writeError(dropped(what, id));
        else if (end === 'waits') leaveWord();
        else return tellDone(call, what, end);
        return end === 'waits' && waitMs === 0 ? EXIT.done : EXIT.no;
      });
    },
  };
}

/** `retry` asks for one attempt, `skip` for one step, `cancel` for the way back: that was done, whatever has parked the saga then. `resume` asks that it goes on. */
function tellDone({ terminal }: Call, what: SagaRepair | 'cancel', { saga, since, refusal }: SagaWordActedOn): ExitCode {
  if (refusal !== undefined) {
    terminal.writeError(`${printable(saga.id)} is not past that step: ${printable(refusal.detail, WHOLE_LENGTH)}\n`);
    return EXIT.no;
  }
  const parked = saga.status === 'parked' ? since.findLast(({ event }) => event === 'parked') : undefined;
  const done = `${printable(saga.id)} is ${ASKED[what].says}`;
  if (parked === undefined) {
    terminal.write(`${done}.\n`);
    return EXIT.done;
  }
  const text = `${done}, and has parked since: ${printable(parked.detail, WHOLE_LENGTH)}\n`;
  if (what === 'resume') terminal.writeError(text);
  else terminal.write(text);
  return what === 'resume' ? EXIT.no : EXIT.done;
}

/** What is asked is kept, also where nobody is there to do it. */
function notYet(service: string, { what, id }: { readonly what: string; readonly id: string }): string {
  const exception = what === 'cancel' ? ', unless the saga is past its pivot' : '';
  return `A process of ${printable(service)} that has this version of the saga, unchanged, does it when it looks next${exception}. \`holdfast sagas show ${quoted(id)}\` tells.\n`;
}

/** Somebody else was faster, or something has come that the saga waited for. */
function dropped(what: string, id: string): string {
  return `${printable(id)} stands otherwise by now, so this ${what} was dropped. \`holdfast sagas show ${quoted(id)}\` tells what was done instead.\n`;
}

/** As a shell takes it for one word. */
function quoted(id: string): string {
  const text = printable(id, WHOLE_LENGTH);
  return /^[\w.:@%+/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
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

async function within(waitMs: number, look: () => Promise<SagaWordEnd>): Promise<SagaWordEnd> {
  for (const untilMs = performance.now() + waitMs; performance.now() < untilMs; await sleep(LOOK_MS)) {
    const end = await look();
    if (end !== 'waits') return end;
  }
  return 'waits';
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
