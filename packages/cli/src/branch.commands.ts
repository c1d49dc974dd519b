import { type BranchFilter, type BranchInfo, type BranchStatus, hfError, printable } from '@holdfast/core';
import { given } from './choice.js';
import { type Call, type Command, EXIT, type ExitCode } from './command.js';
import { withOperators } from './connection.js';
import { factLines } from './facts-text.js';
import { actionOf } from './operator.js';
import { oneOf, required, time, STORE_OPTIONS, wholeNumber } from './options.js';
import { writePage } from './page.js';
import { json } from './table.js';

const STATUSES: readonly BranchStatus[] = ['trying', 'confirming', 'cancelling', 'confirmed', 'cancelled', 'parked'];

/** Operators' commands about the branches of try-confirm-cancel. */
export const BRANCH_COMMANDS: readonly Command[] = [
  {
    words: ['branches', 'list'],
    options: [...STORE_OPTIONS, 'method', 'status', 'since', 'limit', 'cursor', 'json'],
    summary: 'lists the branches of try-confirm-cancel of a service, newest first',
    run: list,
  },
  {
    words: ['branches', 'show'],
    argument: { name: 'id', isRequired: true },
    options: [...STORE_OPTIONS, 'json'],
    summary: 'shows one with what it was called with',
    run: show,
  },
  {
    words: ['branches', 'retry'],
    argument: { name: 'id', isRequired: true },
    options: [...STORE_OPTIONS, 'by', 'reason'],
    summary: 'tries the confirm or cancel of a parked branch again, with fresh attempts',
    run: retry,
  },
  {
    words: ['branches', 'skip'],
    argument: { name: 'id', isRequired: true },
    options: [...STORE_OPTIONS, 'by', 'reason'],
    summary: 'takes the confirm or cancel of a parked branch as done by hand; needs --reason',
    run: skip,
  },
];

function list(call: Call): Promise<ExitCode> {
  const { values } = call;
  const filter = given<BranchFilter>({ method: values.method, status: oneOf(values, 'status', STATUSES), since: time(values, 'since') });
  const page = { limit: wholeNumber(values, 'limit'), cursor: values.cursor };
  return withOperators(call, async ({ branches }, service) => {
    writePage(call, await branches.list({ ...filter, ...page }), {
      none: `The service ${printable(service)} has no such branches.`,
      headings: ['ID', 'METHOD', 'STATUS', 'ENDS WITH', 'ATTEMPTS', 'CHANGED', 'ERROR'],
      row: ({ id, method, status, operation, attempts, updatedAt, failure }) => [
        id,
        method,
        status,
        operation,
        attempts,
        updatedAt,
        failure?.message,
      ],
    });
    return EXIT.done;
  });
}

function show(call: Call): Promise<ExitCode> {
  const id = call.argument as string;
  return withOperators(call, async ({ branches }) => {
    const branch = await branches.get(id);
    if (branch === undefined) throw hfError('HF_TCC_UNKNOWN', { id });
    call.terminal.write(call.values.json ? json(branch) : branchText(branch));
    return EXIT.done;
  });
}

function retry(call: Call): Promise<ExitCode> {
  const id = call.argument as string;
  const action = actionOf(call);
  return withOperators(call, async ({ branches }) => {
    await branches.retry(id, action);
    call.terminal.write(`${printable(id)} is due now.\n`);
    return EXIT.done;
  });
}

function skip(call: Call): Promise<ExitCode> {
  const id = call.argument as string;
  const action = { ...actionOf(call), reason: required(call.values, 'reason') };
  return withOperators(call, async ({ branches }) => {
    await branches.skip(id, action);
    call.terminal.write(`${printable(id)} is ended by hand.\n`);
    return EXIT.done;
  });
}

function branchText({
  id,
  method,
  status,
  operation,
  attempts,
  failure,
  isTried,
  result,
  registeredAt,
  updatedAt,
  ...rest
}: BranchInfo): string {
  const facts = factLines({
    id,
    method,
    status,
    'ends with': operation,
    attempts,
    failure: failure && `${failure.message} (${failure.code})`,
    tried: isTried ? 'yes' : 'no',
    result: result === undefined ? undefined : JSON.stringify(result),
    arguments: JSON.stringify(rest.arguments),
    registered: registeredAt,
    changed: updatedAt,
  });
  return `${facts.join('\n')}\n`;
}
