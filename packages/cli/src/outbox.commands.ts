import { type ParkedChoice, type ParkedFilter } from '@holdfast/core';
import { choiceOf, given } from './choice.js';
import { type Call, type Command, EXIT, type ExitCode } from './command.js';
import { withOperators } from './connection.js';
import { actionOf } from './operator.js';
import { type OptionName, required, time, STORE_OPTIONS, wholeNumber } from './options.js';
import { writePage } from './page.js';
import { json, age, table } from './table.js';

const FILTER_OPTIONS = ['transport', 'type', 'key', 'since', 'until'] as const satisfies readonly OptionName[];
const CHOICE = { what: 'parked message', options: FILTER_OPTIONS };

/** Operators' commands about what waits to be sent. */
export const OUTBOX_COMMANDS: readonly Command[] = [
  {
    words: ['outbox', 'show'],
    options: [...STORE_OPTIONS, 'json'],
    summary: 'tells how much waits to be sent, and which process sends which lane',
    run: show,
  },
  {
    words: ['outbox', 'parked'],
    options: [...STORE_OPTIONS, ...FILTER_OPTIONS, 'limit', 'cursor', 'json'],
    summary: 'lists messages that a broker did not take, and those of their keys behind them, oldest first',
    run: parked,
  },
  {
    words: ['outbox', 'resume'],
    argument: { name: 'id', isRequired: false },
    options: [...STORE_OPTIONS, ...FILTER_OPTIONS, 'by', 'reason'],
    summary: 'sends one parked message, or all that match, again now',
    run: resume,
  },
  {
    words: ['outbox', 'discard'],
    argument: { name: 'id', isRequired: false },
    options: [...STORE_OPTIONS, ...FILTER_OPTIONS, 'by', 'reason'],
    summary: 'gives one parked message, or all that match, up for good; needs --reason',
    run: discard,
  },
];

function show(call: Call): Promise<ExitCode> {
  const { terminal, values } = call;
  return withOperators(call, async ({ outbox }) => {
    const stats = await outbox.stats();
    if (values.json) terminal.write(json(stats));
    else {
      const { backlog, oldestAgeMs, scheduled, parked: kept, halfMessages, oldestHalfMessageAgeMs } = stats;
      const half = halfMessages === 0 ? 0 : `${halfMessages} (oldest ${age(oldestHalfMessageAgeMs)})`;
      terminal.write(
        table(['BACKLOG', 'OLDEST', 'SCHEDULED', 'PARKED', 'HALF MESSAGES'], [[backlog, age(oldestAgeMs), scheduled, kept, half]]),
      );
      terminal.write('\n');
      const hasSeveral = stats.transports.length > 1;
      if (hasSeveral) {
        const rows = stats.transports.map((each) => [each.transport, each.backlog, age(each.oldestAgeMs), each.parked]);
        terminal.write(`${table(['TRANSPORT', 'BACKLOG', 'OLDEST', 'PARKED'], rows)}\n`);
      }
      terminal.write(
        table(
          ['LANE', ...(hasSeveral ? ['TRANSPORT'] : []), 'BACKLOG', 'SENT BY'],
          stats.lanes.map(({ lane, transport, backlog: waiting, owner }) => [lane, ...(hasSeveral ? [transport] : []), waiting, owner]),
        ),
      );
    }
    return EXIT.done;
  });
}

function parked(call: Call): Promise<ExitCode> {
  const { values } = call;
  const filter = { ...filterOf(call), limit: wholeNumber(values, 'limit'), cursor: values.cursor };
  return withOperators(call, async ({ outbox }) => {
    writePage(call, await outbox.parked(filter), {
      none: 'No such message is parked.',
      headings: ['ID', 'PARKED SINCE', 'TRANSPORT', 'TYPE', 'KEY', 'REASON', 'ATTEMPTS', 'ERROR'],
      row: ({ id, parkedAt, transport, message, reason, attempts, error }) => [
        id,
        parkedAt,
        transport,
        message.type,
        message.key,
        reason,
        attempts,
        error,
      ],
      brief: ({ body: _, ...message }) => message,
    });
    return EXIT.done;
  });
}

function resume(call: Call): Promise<ExitCode> {
  const which: ParkedChoice = choiceOf(call, filterOf(call), CHOICE);
  const action = actionOf(call);
  return withOperators(call, async ({ outbox }) => {
    const { count } = await outbox.resume(which, action);
    call.terminal.write(`${counted(count)} due now.\n`);
    return EXIT.done;
  });
}

function discard(call: Call): Promise<ExitCode> {
  const which: ParkedChoice = choiceOf(call, filterOf(call), CHOICE);
  const action = { ...actionOf(call), reason: required(call.values, 'reason') };
  return withOperators(call, async ({ outbox }) => {
    const { count } = await outbox.discard(which, action);
    call.terminal.write(`${counted(count)} discarded.\n`);
    return EXIT.done;
  });
}

function counted(count: number): string {
  return count === 1 ? '1 parked message is' : `${count} parked messages are`;
}

function filterOf({ values }: Call): ParkedFilter {
  return given<ParkedFilter>({
    transport: values.transport,
    type: values.type,
    key: values.key,
    since: time(values, 'since'),
    until: time(values, 'until'),
  });
}
