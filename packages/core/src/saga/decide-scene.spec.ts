import { NonRetryableError } from '../errors/non-retryable-error.js';
import { seededRandom } from '../time/random.js';
import { begin, decide } from './decide.js';
import { defineSaga, type SagaStepOptions } from './saga-builder.js';
import type { SagaDefinition } from './saga-definition.js';
import type { SagaCommand, SagaEvent } from './saga-event.js';
import type { RequestWait, SagaProgress } from './saga-progress.js';

export const nothing = () => undefined;
export const ONCE = { retry: false, compensateRetry: false } as const;
export const PATIENT = { attempts: 3, backoff: { delay: 100, factor: 2, jitter: 'none' } } as const;

export function sagaOf(steps: Readonly<Record<string, SagaStepOptions<object>>>): SagaDefinition {
  const saga = defineSaga('order', { version: 1, timeout: '1h' });
  for (const [name, options] of Object.entries(steps)) saga.step(name, nothing, options);
  return saga.definition;
}

export type Happened = SagaEvent | ((step: string) => SagaEvent);

/** A step has sent a request. */
export const asks =
  (id: string, also: Partial<RequestWait> = {}) =>
  (step: string): SagaEvent => ({ kind: 'waits', step, waits: [{ kind: 'request', id, type: `${step}.command`, untilMs: 1000, ...also }] });

/** The same of a certain step. */
export const of = (step: string, event: (step: string) => SagaEvent): SagaEvent => event(step);

/** A saga as a script: what happens, and what it is expected to do. */
export function given(definition: SagaDefinition, state: object = {}) {
  const random = seededRandom(1);
  const set = { ...state };
  const begun = begin(definition, { id: 'o1', state, random });
  let nowMs = 0;
  let progress: SagaProgress = begun.progress;
  let commands: readonly SagaCommand[] = begun.commands;
  const history: string[] = begun.notes.map(({ event }) => event);
  const script = {
    when(...happened: readonly Happened[]) {
      for (const one of happened) {
        // Where one step is at work, it is the one that is meant.
        const step = progress.at[0]?.step ?? '';
        const event = (typeof one === 'function' ? one(step) : one) as SagaEvent;
        const decision = decide(definition, { id: 'o1', progress, event, state: set, nowMs }, random);
        Object.assign(set, decision.set);
        progress = decision.progress;
        commands = decision.commands;
        history.push(...decision.notes.map(({ step, event: what }) => (step === undefined ? what : `${step} ${what}`)));
      }
      return script;
    },
    /** Time passes, and it is looked at. */
    after(ms: number) {
      nowMs += ms;
      return script.when({ kind: 'time' });
    },
    expect(...expected: readonly unknown[]) {
      expect(commands.map(described)).toEqual(expected);
      return script;
    },
    ends(status: SagaProgress['status'], ...lines: readonly string[]) {
      expect({ status: progress.status, history }).toEqual({ status, history: ['started', ...lines] });
      return script;
    },
    /** The steps at work, or waiting, in the order in which they were begun. */
    isAt(...steps: readonly string[]) {
      expect(progress.at.map(({ step }) => step)).toEqual(steps);
      return script;
    },
    get state() {
      return set;
    },
    get progress() {
      return progress;
    },
  };
  return script;
}

export function described(command: SagaCommand): string {
  if (command.do === 'cancel') return `cancel ${command.id}`;
  if (command.do === 'end') return command.status;
  if (command.do === 'park') return `park at ${command.failure.step}: ${command.failure.message}`;
  const what = command.do === 'run' ? `run ${command.step}` : `undo ${command.step}`;
  return command.afterMs === 0 ? what : `${what} after ${command.afterMs}`;
}

export const done = (step: string): SagaEvent => ({ kind: 'done', step });
export const failed =
  (text = 'it failed') =>
  (step: string): SagaEvent => ({ kind: 'failed', step, error: new Error(text) });
export const declined = (step: string): SagaEvent => ({ kind: 'failed', step, error: new NonRetryableError('card declined') });
export const killed = (step: string): SagaEvent => ({ kind: 'given-up', step, error: new Error('killed') });
