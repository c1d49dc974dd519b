import { keyRuleOf } from '../delivery/key-gate.js';
import { longestMs } from '../delivery/retry-policy.js';
import type { Subscription } from '../delivery/subscription.js';
import type { UnregisteredSubscription } from '../delivery/subscription-builder.js';
import { keepMsOf } from './message-memory.js';

/** Tells each handler that undoes requests whose they are; with the numbers that all have by now. */
export function linkSteps(subscriptions: readonly Subscription[]): readonly Subscription[] {
  const undone = new Set(subscriptions.flatMap(({ compensates }) => compensates ?? []));
  const linked = subscriptions.map((each) => ({ ...each, isUndoable: each.spec.types.some((type) => undone.has(type)) }));
  return linked.map((each) => {
    const step = linked.find(({ spec }) => each.compensates !== undefined && spec.types.includes(each.compensates));
    if (step?.idempotency === undefined) return each;
    const { spec, idempotency } = step;
    const undoes = {
      name: spec.name,
      types: spec.types,
      rule: keyRuleOf(step),
      ttlMs: idempotency.ttlMs,
      keepMs: keepMsOf(step, idempotency),
    };
    return { ...each, undoes };
  });
}

/** What is wrong with handlers that undo requests, one sentence each. */
export function undoProblems(built: readonly UnregisteredSubscription[]): readonly string[] {
  const undoing = built.filter(({ compensates }) => compensates !== undefined);
  const problems = undoing.flatMap((each) => problemsOf(each, stepOf(each, built)));
  const names = new Map<string, string[]>();
  for (const { compensates = '', spec } of undoing) names.set(compensates, [...(names.get(compensates) ?? []), spec.name]);
  const shared = [...names].filter(([, several]) => several.length > 1);
  return [
    ...problems,
    ...shared.map(
      ([type, several]) =>
        `${type} is undone by ${several.length} handlers: ${several.join(', ')}; a request is undone once, so let one handler take the commands of all`,
    ),
  ];
}

function stepOf({ compensates = '' }: UnregisteredSubscription, built: readonly UnregisteredSubscription[]) {
  return built.find(({ spec }) => spec.types.includes(compensates));
}

function problemsOf(undoing: UnregisteredSubscription, step: UnregisteredSubscription | undefined): readonly string[] {
  const decorator = `@Compensate(${undoing.compensates})`;
  const where = (text: string) => `subscription ${JSON.stringify(undoing.spec.name)}: ${text}`;
  const events = undoing.messages.filter(({ isCommand }) => !isCommand).map(({ type }) => type);
  const problems = events.map((type) => where(`${decorator} needs commands, and ${type} is an event: extend Command`));
  if (step === undefined)
    return [
      ...problems,
      where(
        `${decorator}: no handler here takes ${undoing.compensates}; the one that undoes it must be in its service, with the same store`,
      ),
    ];
  if (step === undoing) return [...problems, where(`${decorator}: it takes ${undoing.compensates} itself; undo that in another handler`)];
  if (step.compensates !== undefined)
    problems.push(where(`${decorator}: ${step.spec.name} undoes ${step.compensates} itself, and what undoes is not undone`));
  if (step.undo !== undefined)
    problems.push(
      where(`${decorator}: ${step.spec.name} is undone in two ways, here and by a @Compensate of its own (${step.undo.name}); choose one`),
    );
  for (const each of [step, undoing])
    problems.push(...memoryProblems(each).map((text) => where(`${decorator}: ${each.spec.name} ${text}`)));
  return [...problems, ...tooShort(step, undoing).map((text) => where(`${decorator}: ${text}`))];
}

/** Both are decided by what is remembered under the id of the request. */
function memoryProblems({ idempotency, spec }: UnregisteredSubscription): readonly string[] {
  if (spec.transaction !== undefined)
    return ["has @Transactional({ protocol: 'kafka' }), which remembers nothing in a database: use @Idempotent() and @Transactional()"];
  if (idempotency === undefined) return ['needs @Idempotent(), so that it is remembered whether it ran'];
  const problems: string[] = [];
  if (idempotency.key !== undefined)
    problems.push('has @Idempotent({ key }), and one request is undone, not all that have its key: leave the key out');
  if (idempotency.onExpired === 'handle')
    problems.push("has onExpired: 'handle', and would handle what was undone longer ago than is remembered: leave onExpired out");
  return problems;
}

/** What is remembered must be there for as long as it may be asked for. */
function tooShort(step: UnregisteredSubscription, undoing: UnregisteredSubscription): readonly string[] {
  const neededMs = longestMs(step.retry, step.timeoutMs) + longestMs(undoing.retry, undoing.timeoutMs) + (step.idempotency?.lockTtlMs ?? 0);
  return [step, undoing].flatMap(({ idempotency, spec }) =>
    idempotency === undefined || idempotency.ttlMs >= neededMs
      ? []
      : `the ttl of ${spec.name} is ${idempotency.ttlMs} ms, and the attempts of both can take ${neededMs} ms: raise the ttl, or lower the attempts`,
  );
}
