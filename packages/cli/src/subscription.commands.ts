import { printable, type Subscriptions } from '@holdfast/core';
import { type Call, type Command, EXIT, type ExitCode } from './command.js';
import { withOperators } from './connection.js';
import { actionOf } from './operator.js';
import { STORE_OPTIONS } from './options.js';
import { age, json, table } from './table.js';

/** Operators' commands about subscriptions. */
export const SUBSCRIPTION_COMMANDS: readonly Command[] = [
  {
    words: ['subscriptions', 'list'],
    options: [...STORE_OPTIONS, 'json'],
    summary: 'lists the subscriptions of a service, with their backlog',
    run: list,
  },
  change('pause', 'paused', 'stops the deliveries of a subscription on every node, until resumed'),
  change('resume', 'resumed', 'lets a paused subscription go on from where it stands'),
  change('retire', 'retired', 'says that a subscription without a handler is meant to be gone'),
];

function list(call: Call): Promise<ExitCode> {
  const { terminal, values } = call;
  return withOperators(call, async ({ subscriptions }, service) => {
    const all = await subscriptions.list();
    if (values.json) terminal.write(json(all));
    else if (all.length === 0) terminal.write(`The service ${printable(service)} has no subscriptions.\n`);
    else {
      const rows = all.map(({ name, state, backlog, oldestAgeMs, deadLetters, types }) => [
        name,
        state,
        backlog,
        age(oldestAgeMs),
        deadLetters,
        types.join(' '),
      ]);
      terminal.write(table(['NAME', 'STATE', 'BACKLOG', 'OLDEST', 'DEAD LETTERS', 'TYPES'], rows));
    }
    return EXIT.done;
  });
}

function change(verb: 'pause' | 'resume' | 'retire', participle: string, summary: string): Command {
  return {
    words: ['subscriptions', verb],
    argument: { name: 'name', isRequired: true },
    options: [...STORE_OPTIONS, 'by', 'reason'],
    summary,
    run: (call) => {
      const action = actionOf(call);
      const name = call.argument as string;
      return withOperators(call, async ({ subscriptions }: { subscriptions: Subscriptions }) => {
        await subscriptions[verb](name, action);
        call.terminal.write(`${printable(name)} is ${participle}.\n`);
        return EXIT.done;
      });
    },
  };
}
