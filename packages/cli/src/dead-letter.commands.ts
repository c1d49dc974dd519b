import { type DeadLetter, type DeadLetterChoice, type DeadLetterFilter, hfError, printable } from '@holdfast/core';
import { choiceOf, given } from './choice.js';
import { type Call, type Command, EXIT, type ExitCode } from './command.js';
import { withOperators } from './connection.js';
import { letterText } from './letter-text.js';
import { actionOf } from './operator.js';
import { type OptionName, required, time, STORE_OPTIONS, wholeNumber } from './options.js';
import { writePage } from './page.js';
import { json, table } from './table.js';

const FILTER_OPTIONS = ['subscription', 'type', 'key', 'code', 'group', 'since', 'until'] as const satisfies readonly OptionName[];
const CHOICE = { what: 'dead letter', options: FILTER_OPTIONS };

/** Operators' commands about dead letters. */
export const DEAD_LETTER_COMMANDS: readonly Command[] = [
  {
    words: ['dead-letters', 'list'],
    options: [...STORE_OPTIONS, ...FILTER_OPTIONS, 'limit', 'cursor', 'json'],
    summary: 'lists dead letters, newest first',
    run: list,
  },
  {
    words: ['dead-letters', 'groups'],
    options: [...STORE_OPTIONS, ...FILTER_OPTIONS, 'json'],
    summary: 'counts dead letters by subscription and error, most first',
    run: groups,
  },
  {
    words: ['dead-letters', 'show'],
    argument: { name: 'id', isRequired: true },
    options: [...STORE_OPTIONS, 'json'],
    summary: 'shows one with its error and its body',
    run: show,
  },
  {
    words: ['dead-letters', 'redrive'],
    argument: { name: 'id', isRequired: false },
    options: [...STORE_OPTIONS, ...FILTER_OPTIONS, 'by', 'reason'],
    summary: 'hands one, or all that match, to their subscription again',
    run: redrive,
  },
  {
    words: ['dead-letters', 'discard'],
    argument: { name: 'id', isRequired: false },
    options: [...STORE_OPTIONS, ...FILTER_OPTIONS, 'by', 'reason'],
    summary: 'gives one, or all that match, up for good; needs --reason',
    run: discard,
  },
];

function list(call: Call): Promise<ExitCode> {
  const { values } = call;
  const filter = { ...filterOf(call), limit: wholeNumber(values, 'limit'), cursor: values.cursor };
  return withOperators(call, async ({ deadLetters }, service) => {
    writePage(call, await deadLetters.list(filter), {
      none: `The service ${printable(service)} has no such dead letters.`,
      headings: ['ID', 'DEAD SINCE', 'SUBSCRIPTION', 'TYPE', 'KEY', 'ATTEMPTS', 'CODE', 'ERROR'],
      row: ({ id, deadAt, subscription, message, attempts, error }) => [
        id,
        deadAt,
        subscription,
        message.type,
        message.key,
        attempts,
        error.code,
        error.message,
      ],
      brief: ({ body: _, ...letter }) => letter,
    });
    return EXIT.done;
  });
}

function groups(call: Call): Promise<ExitCode> {
  const { terminal, values } = call;
  const filter = filterOf(call);
  return withOperators(call, async ({ deadLetters }, service) => {
    const all = await deadLetters.groups(filter);
    if (values.json) terminal.write(json(all.map(({ sample: { body: _, ...sample }, ...group }) => ({ ...group, sample }))));
    else if (all.length === 0) terminal.write(`The service ${printable(service)} has no such dead letters.\n`);
    else {
      const rows = all.map(({ group, count, sample }) => [
        count,
        group,
        sample.message.type,
        sample.error.code,
        sample.id,
        sample.error.message,
      ]);
      terminal.write(table(['COUNT', 'GROUP', 'TYPE', 'CODE', 'NEWEST', 'ERROR'], rows));
    }
    return EXIT.done;
  });
}

function show(call: Call): Promise<ExitCode> {
  const id = call.argument as string;
  return withOperators(call, async ({ deadLetters }) => {
    const letter = await deadLetters.get(id);
    if (letter === undefined) throw hfError('HF_DEAD_LETTER_UNKNOWN', { id });
    call.terminal.write(call.values.json ? json(withBody(letter)) : letterText(letter));
    return EXIT.done;
  });
}

function redrive(call: Call): Promise<ExitCode> {
  const which: DeadLetterChoice = choiceOf(call, filterOf(call), CHOICE);
  const action = actionOf(call);
  return withOperators(call, async ({ deadLetters }) => {
    const { count } = await deadLetters.redrive(which, action);
    call.terminal.write(`${counted(count)} handed to ${count === 1 ? 'its' : 'their'} subscription again.\n`);
    return EXIT.done;
  });
}

function discard(call: Call): Promise<ExitCode> {
  const which: DeadLetterChoice = choiceOf(call, filterOf(call), CHOICE);
  const action = { ...actionOf(call), reason: required(call.values, 'reason') };
  return withOperators(call, async ({ deadLetters }) => {
    const { count } = await deadLetters.discard(which, action);
    call.terminal.write(`${counted(count)} discarded.\n`);
    return EXIT.done;
  });
}

function counted(count: number): string {
  return count === 1 ? '1 dead letter was' : `${count} dead letters were`;
}

function filterOf({ values }: Call): DeadLetterFilter {
  const { subscription, type, key, code, group } = values;
  return given<DeadLetterFilter>({ subscription, type, key, code, group, since: time(values, 'since'), until: time(values, 'until') });
}

function withBody(letter: DeadLetter): object {
  return { ...letter, body: Buffer.from(letter.body).toString('base64') };
}
