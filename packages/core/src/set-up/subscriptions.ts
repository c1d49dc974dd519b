import { buildSubscription, type UnregisteredSubscription } from '../delivery/subscription-builder.js';
import { undoProblems } from '../participant/linked-steps.js';
import { nameOfTransport } from '../transport/route.js';
import type { Assembly } from './assembly.js';
import { sharedCommands } from './shared-commands.js';
import { servingOf } from './transports.js';

/** Checks all handlers of a process; what is wrong with them goes to the assembly's problems. */
export function subscriptionsOf(assembly: Assembly): readonly UnregisteredSubscription[] {
  const { settings, store } = assembly;
  if (settings.transport === undefined) return [];
  const problem = (text: string) => assembly.problem(text);
  const context = {
    hasStore: store !== undefined,
    dataSource: store?.transactions.dataSources[0],
    maxConcurrency: store?.maxConcurrency,
    limits: settings.limits,
    undoRetentionMs: settings.undoRetentionMs,
    readForeign: settings.readForeign,
    defaults: settings.defaults,
    problem,
  };
  const { handlers } = assembly;
  const names = new Map<string, number>();
  for (const { policies } of handlers) names.set(policies.name, (names.get(policies.name) ?? 0) + 1);
  for (const [name, count] of names)
    if (count > 1) assembly.problem(`the subscription name ${JSON.stringify(name)} is used by ${count} handlers; give each its own`);
  const built = handlers.flatMap((registration) => {
    const serving = servingOf(settings.transports, registration, problem);
    if (serving === undefined) return [];
    const { route, factory } = serving;
    const { capabilities, holdLimitMs } = factory;
    const transport = nameOfTransport(route.transport, factory.transport);
    return buildSubscription({ ...context, route, capabilities, holdLimitMs, transport }, registration) ?? [];
  });
  for (const problem of [...sharedCommands(built), ...undoProblems(built)]) assembly.problem(problem);
  return built;
}
