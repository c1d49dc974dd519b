import { createHash } from 'node:crypto';
import type { RetryPolicy } from '../delivery/retry-policy.js';

/** Where and why a saga failed. */
export interface SagaFailure {
  /** Name of the step, also when its compensation failed. */
  readonly step: string;
  /** Code of the error (`HF_…`, `ECONNREFUSED`), or its type where it has none. */
  readonly code: string;
  readonly message: string;
}

/** One step of a saga, as data. */
export interface SagaStepDefinition {
  readonly name: string;
  /** Steps that are done, or left out, before it runs; several run side by side when they wait for the same. */
  readonly after: readonly string[];
  /** False leaves the step out. */
  readonly when: ((state: never) => boolean) | undefined;
  /** Name of what undoes it; undefined: there is nothing to undo. */
  readonly compensation: string | undefined;
  /** Once it is done there is no way back. */
  readonly isPivot: boolean;
  /** For one attempt, of the step or of its compensation, with the reply it asked for. */
  readonly timeoutMs: number;
  /** For the branch that begins with it; undefined: as long as it takes. */
  readonly branchTimeoutMs: number | undefined;
  /** Where it runs, and what undoes it; undefined: where the saga is kept. */
  readonly dataSource: string | undefined;
  readonly retry: RetryPolicy;
  readonly compensationRetry: RetryPolicy;
}

/** A saga as data: what `decide` looks at. Nothing in it runs. */
export interface SagaDefinition {
  readonly name: string;
  /** A positive integer; an instance is worked on by processes that have its version. */
  readonly version: number;
  /** For the whole saga; undefined: as long as it takes. */
  readonly timeoutMs: number | undefined;
  /** CloudEvents types of the messages that steps may wait for. */
  readonly signals: readonly string[];
  /** At least one, each behind those it runs after. */
  readonly steps: readonly SagaStepDefinition[];
}

/** Characters of an outline; the database has it in an index. */
const OUTLINE_LENGTH = 400;

/** What instances are tied to, for people and for comparing: steps in their order, what undoes them, and the pivot. A long one ends in a hash. */
export function outlineOf({ steps }: SagaDefinition): string {
  const text = steps
    .map(({ name, after, when, compensation, isPivot, dataSource }, at) => {
      const isNext = after.length === 1 && after[0] === steps[at - 1]?.name;
      const place = isNext || (at === 0 && after.length === 0) ? '' : ` after ${after.join(' and ') || 'nothing'}`;
      const undo = compensation === undefined ? '' : ` (undone by ${compensation})`;
      const home = dataSource === undefined ? '' : ` (in ${dataSource})`;
      return `${name}${place}${when === undefined ? '' : ' (conditional)'}${undo}${isPivot ? ' (pivot)' : ''}${home}`;
    })
    .join(', ');
  if (text.length <= OUTLINE_LENGTH) return text;
  return `${text.slice(0, OUTLINE_LENGTH - 20)}… ${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
}

/** Steps of the branch that begins with `first`: itself, and those that wait for nothing but steps of the branch. */
export function branchOf({ steps }: SagaDefinition, first: string): ReadonlySet<string> {
  const branch = new Set([first]);
  for (const { name, after } of steps) if (after.length > 0 && after.every((before) => branch.has(before))) branch.add(name);
  return branch;
}

/** The step of this name, if the definition has it. */
export function stepOf({ steps }: SagaDefinition, name: string | undefined): SagaStepDefinition | undefined {
  return steps.find((step) => step.name === name);
}
