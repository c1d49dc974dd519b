import { type DecoratedMethod, decoratedMethods } from '../delivery/policy-metadata.js';
import { className } from '../message/message-class.js';
import type { PlannedStep, SagaCall, SagaPlan } from './saga-plan.js';
import { describeSaga } from './saga.decorators.js';

/** How a method of a saga's instance is called; a framework may have a way of its own. */
export type CallMethod = (instance: object, method: string, args: unknown[]) => unknown;

const callDirectly: CallMethod = (instance, method, args) =>
  (instance as Record<string, (...values: unknown[]) => unknown>)[method]?.apply(instance, args);

/**
 * The plan of a decorated saga.
 *
 * @param problem takes one sentence per thing that is wrong
 * @returns undefined when its class is no saga, or its steps are in no order
 */
export function planOfInstance(instance: object, problem: (text: string) => void, call: CallMethod = callDirectly): SagaPlan | undefined {
  const prototype = Object.getPrototypeOf(instance) as { constructor: object };
  const description = describeSaga(prototype.constructor);
  const name = className(prototype.constructor as { readonly name?: string });
  if (description === undefined) {
    problem(`${name} is no saga: put @Saga on it`);
    return undefined;
  }
  const wrong = (text: string) => problem(`${name}: ${text}`);
  const methods = decoratedMethods(prototype).filter(({ isEffective }) => isEffective);
  const undoing = new Set(methods.flatMap(({ metadata: { step, compensate } }) => (step === undefined ? [] : (compensate ?? []))));
  for (const text of methods.flatMap((method) => misplaced(method, undoing.has(method.name)))) wrong(text);
  const ordered = inOrder(
    methods.filter(({ metadata }) => metadata.step !== undefined),
    wrong,
  );
  if (ordered === undefined) return undefined;
  const calling =
    (method: string): SagaCall =>
    (context) =>
      call(instance, method, [context]);
  const retries = new Map(methods.map((method) => [method.name, method.metadata.retry]));
  const steps = ordered.map(({ name: step, metadata }): PlannedStep => {
    const { compensate, retry } = metadata;
    if (compensate !== undefined && typeof (instance as Record<string, unknown>)[compensate] !== 'function')
      wrong(`@Compensate('${compensate}') on ${step} names no method of the class`);
    return {
      name: step,
      after: afterOf(metadata),
      when: metadata.step?.when,
      run: calling(step),
      compensation: compensate === undefined ? undefined : { name: compensate, run: calling(compensate) },
      isPivot: metadata.step?.pivot === true,
      timeout: metadata.step?.timeout,
      branchTimeout: metadata.step?.branchTimeout,
      dataSource: metadata.step?.dataSource,
      retry,
      compensationRetry: compensate === undefined ? undefined : retries.get(compensate),
    };
  });
  return { ...description, steps };
}

/** What stands on a method of a saga and does nothing there, or something else than it seems to. */
function misplaced({ name, metadata }: DecoratedMethod, isUndoing: boolean): readonly string[] {
  const { step, compensate, transactional, idempotent } = metadata;
  const problems: string[] = [];
  if (step === undefined && compensate !== undefined) problems.push(`@Compensate stands on ${name}, which is no step: add @Step()`);
  if (step !== undefined && isUndoing)
    problems.push(`${name} is a step, and @Compensate names it as what undoes one: give that a method of its own`);
  if (step === undefined && !isUndoing) return problems;
  const what = step === undefined ? 'compensation' : 'step';
  if (transactional !== undefined)
    problems.push(`@Transactional stands on the ${what} ${name}, which has a unit of work already: remove it`);
  if (idempotent !== undefined)
    problems.push(`@Idempotent stands on the ${what} ${name}, whose effect is one commit with the saga's progress: remove it`);
  return problems;
}

/** Each step behind those it waits for, else in the order in which they are written. */
function inOrder(steps: readonly DecoratedMethod[], wrong: (text: string) => void): readonly DecoratedMethod[] | undefined {
  const names = new Set(steps.map(({ name }) => name));
  const unknown = steps.flatMap(({ name, metadata }) =>
    afterOf(metadata).flatMap((after) => (names.has(after) ? [] : [[name, after] as const])),
  );
  for (const [name, after] of unknown) wrong(`the step ${name} comes after ${after}, which is no step of it`);
  if (unknown.length > 0) return undefined;
  const ordered: DecoratedMethod[] = [];
  const isOpen = ({ metadata }: DecoratedMethod) => afterOf(metadata).every((after) => ordered.some(({ name }) => name === after));
  for (let left = steps; left.length > 0; left = steps.filter((step) => !ordered.includes(step))) {
    const next = left.find(isOpen);
    if (next === undefined) {
      wrong(`the steps ${left.map(({ name }) => name).join(' and ')} wait for each other: one step has no after`);
      return undefined;
    }
    ordered.push(next);
  }
  return ordered;
}

function afterOf({ step }: DecoratedMethod['metadata']): readonly string[] {
  return step?.after === undefined ? [] : [step.after].flat();
}
