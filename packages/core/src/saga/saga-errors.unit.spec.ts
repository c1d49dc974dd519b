import { ERRORS, type ErrorCode, hfError } from '../errors/catalogue.js';
import { Message } from '../message/message.js';
import { undoingError } from '../participant/undone-step.js';
import { seededRandom } from '../time/random.js';
import { begin, decide } from './decide.js';
import { defineSaga, type SagaBuilder } from './saga-builder.js';
import { createSagaContext } from './saga-context.js';
import { SagaCourse } from './saga-course.js';
import type { SagaArrival } from './saga-event.js';
import { runnableFrom } from './saga-plan.js';
import type { SagaProgress, SagaWait } from './saga-progress.js';
import { assertForward, assertParked } from './saga-repairs.js';
import { encodeState } from './saga-state.js';
import type { StoredSaga } from './saga.store.port.js';

@Message('paid')
class Paid {}

const ID = 'order-42';
const STEP = 'charge';
const ignore = () => undefined;
const random = seededRandom(1);
const RUNNING = { status: 'running', at: [{ step: STEP }], parked: undefined } as unknown as SagaProgress;
const saga = defineSaga('buying', { version: 1 }).step('reserve', ignore).step(STEP, ignore, { retry: false, branchTimeout: '10s' });

/** Errors about no instance: there is none, or its id is what is wrong. */
const ABOUT_NONE: readonly ErrorCode[] = [
  'HF_SAGA_DEFINITION',
  'HF_SAGA_UNKNOWN',
  'HF_SAGA_NOT_REGISTERED',
  'HF_SAGA_ID',
  'HF_SAGA_STEP_TABLE',
  'HF_SAGA_ABORT_OF_NONE',
];

/** Those that name the saga and no step, and why. */
const WITHOUT_STEP: { readonly [Code in ErrorCode]?: string } = {
  HF_SAGA_ID_TAKEN: 'it was not started',
  HF_SAGA_LOCK_KEY: 'it was not started',
  HF_SAGA_LOCKED: 'it was not started',
  HF_SAGA_PROGRESS: 'where it stands is what nobody can read',
  HF_SAGA_IN_WORK: 'its row is locked by whoever works on it, so nothing of it was read',
  HF_SAGA_NOT_ENDED: 'nothing of it was read but its status',
  HF_SAGA_REPAIR_IN_TRANSACTION: 'nothing of it was read',
  HF_SAGA_RESULT_IN_TRANSACTION: 'nothing of it was read',
  HF_SAGA_ABORTED: 'a choreographed saga has handlers, and no steps: the type of the message is named',
  HF_SAGA_UNDO_RETIRED: 'a choreographed saga has handlers, and no steps: the subscription is named',
  HF_SAGA_BUSY: 'a choreographed saga has handlers, and no steps',
  HF_COMPENSATION_UNGUARDED: 'the name of a step does not travel: the type of its request is named',
};

/** What a saga at its second step has failed, or parked, with, once what has come for it is taken in. */
function course(
  {
    waits = [],
    arrived,
    ...given
  }: { readonly waits?: readonly SagaWait[]; readonly arrived?: SagaArrival } & Partial<Omit<StoredSaga, 'arrived'>>,
  of: SagaBuilder<object> = saga,
): string | undefined {
  const runnable = runnableFrom(of.plan, (text) => expect(text).toBeUndefined());
  const begun = begin(runnable.definition, { random });
  const { progress } = decide(runnable.definition, { progress: begun.progress, event: { kind: 'done', step: 'reserve' } }, random);
  const instance: StoredSaga = {
    ...{ id: ID, number: '1', saga: of.name, version: 1, outline: runnable.outline, state: '{}', parent: undefined },
    progress: waits.length === 0 ? progress : { ...progress, at: progress.at.map(({ callMs: _, ...entry }) => ({ ...entry, waits })) },
    ...{ revision: 0n, deaths: 0, isOverdue: false, nowMs: 1000 },
    arrived: arrived === undefined ? [] : [{ number: '0', event: arrived }],
    ...given,
  };
  const one = new SagaCourse(instance, runnable, random);
  one.catchUp();
  const { failure, parked } = one.progress;
  return (parked?.failure ?? failure)?.message;
}

const request: SagaWait = { kind: 'request', id: 'r-1', type: 'card.charge', into: 'payment', untilMs: 5000 };
const context = () =>
  createSagaContext({
    ...{ id: ID, step: STEP, state: {}, attempt: 1, idempotencyKey: 'k', failure: undefined },
    signal: () => new AbortController().signal,
    signals: [],
  });
const at = (step: string, also: object) =>
  ({
    status: 'running',
    at: [{ step, way: 'running', attempts: 0 }],
    done: [{ step: 'reserve' }],
    leftOut: [],
    ...also,
  }) as unknown as SagaProgress;
const thrown = (throwing: () => unknown) => {
  try {
    throwing();
  } catch (error) {
    return (error as Error).message;
  }
  return undefined;
};

/** Those whose facts are put together where they are thrown. */
const THROWN: { readonly [Code in ErrorCode]?: () => string | undefined } = {
  HF_SAGA_REPLY_TIMEOUT: () => course({ waits: [request], nowMs: 5000 }),
  HF_SAGA_WAIT_TIMEOUT: () => course({ waits: [{ kind: 'signal', type: 'paid', key: 'k', untilMs: 500 }] }),
  HF_SAGA_CHILD_COMPENSATED: () =>
    course({
      waits: [{ kind: 'saga', id: 'child-7' }],
      arrived: { kind: 'ended', id: 'child-7', state: {}, failure: { step: 'a', code: 'HF_X', message: 'no van' } },
    }),
  HF_SAGA_BRANCH_TIMEOUT: () => course({ progress: at(STEP, { branches: [{ step: STEP, untilMs: 500 }] }), nowMs: 20_000 }),
  HF_SAGA_TIMEOUT: () => course({ waits: [request], isOverdue: true }),
  HF_SAGA_CANCELLED: () => course({ waits: [request], arrived: { kind: 'cancelled', by: 'ann', reason: 'not wanted' } }),
  HF_SAGA_STATE: () => course({ state: '{' }),
  HF_SAGA_STATE_TOO_LARGE: () => course({ waits: [request], arrived: { kind: 'answered', id: 'r-1', value: 'x'.repeat(300_000) } }),
  HF_SAGA_STEP_KILLED: () => course({ deaths: 5 }),
  HF_SAGA_STEP_UNKNOWN: () => course({ progress: at(STEP, { done: [] }) }),
  HF_SAGA_CHANGED: () => course({ outline: 'reserve, charge, ship' }),
  HF_SAGA_PROGRESS: () => course({ progress: at(STEP, { unread: '{' }) }),
  HF_SAGA_NOT_PARKED: () => thrown(() => assertParked(ID, 'resume', RUNNING)),
  HF_SAGA_NOT_RUNNING: () => thrown(() => assertForward(ID, { ...RUNNING, status: 'compensating' })),
  HF_SAGA_SIGNAL: () => thrown(() => context().waitFor(Paid, { key: '\0', timeout: '1s' })),
  HF_SAGA_FIRST_OF: () => thrown(() => context().firstOf()),
  HF_COMPENSATION_UNGUARDED: () =>
    undoingError({ undoes: undefined, spec: { name: 'refund' } }, {
      compensates: 'r-1',
      compensatesType: `card.${STEP}`,
      sagaId: ID,
    } as never)?.message,
};

const codes = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => /^HF_(SAGA|COMPENSATION)_/.test(code));

/** The text of an error that is thrown with the values of its row. */
function filled(code: ErrorCode): string {
  const { sentence, fix } = ERRORS[code];
  const values: Readonly<Record<string, string>> = { id: ID, sagaId: ID, step: STEP };
  const names = [...`${sentence} ${fix}`.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => [name, values[name] ?? 'VALUE']);
  return hfError(code, Object.fromEntries(names)).message;
}

describe('an error about a saga', () => {
  it.each(codes.filter((code) => !ABOUT_NONE.includes(code)))('names the saga, its step and what to do: %s', (code) => {
    const text = THROWN[code] === undefined ? filled(code) : THROWN[code]();
    expect(text).toContain(ID);
    if (WITHOUT_STEP[code] === undefined) expect(text).toContain(STEP);
    expect(text).toContain(ERRORS[code].fix.split('{')[0]);
  });

  it('names none where there is none, and says why where it names no step', () => {
    for (const code of ABOUT_NONE) expect(codes).toContain(code);
    for (const code of Object.keys(WITHOUT_STEP))
      expect([codes, ERRORS[code as ErrorCode].sentence]).toEqual([expect.arrayContaining([code]), expect.not.stringContaining('{step}')]);
  });

  it('names the step that a state was left by', () => {
    expect(() => encodeState(1, { saga: 'buying', id: ID, step: STEP })).toThrow(
      `The state of the saga buying ${ID} (step: ${STEP}) cannot be kept: it is no object.`,
    );
  });
});
