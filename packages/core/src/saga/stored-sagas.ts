import type { Outgoing } from '../bus/outgoing.js';
import { hfError } from '../errors/catalogue.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { unstorable } from '../message/storable.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import type { OperatorAction, Page, Paged } from '../operations/operators.js';
import { type Duration, toMs } from '../time/duration.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { Scheduler } from '../time/scheduler.js';
import type { UnitEngine, UnitInScope } from '../unit-of-work/unit-engine.js';
import type { SagaDefinition } from './saga-definition.js';
import { changedUnder, SagaCourse } from './saga-course.js';
import type { SagaEvent } from './saga-event.js';
import { isPastPivot, parkingOf, type SagaParking, stepsAt } from './saga-progress.js';
import type { SagaRegister } from './saga-register.js';
import type { SagaRunner } from './saga-runner.js';
import { type BeginningSaga, type BegunSaga, startSaga } from './saga-start.js';
import {
  assertAbout,
  assertForward,
  assertNamed,
  assertParked,
  cancelledError,
  purgeSaga,
  REPAIRED,
  type SagaRepair,
} from './saga-repairs.js';
import { decodeState, encodeState } from './saga-state.js';
import type { OperatorChange, SagaStore, StoredSaga } from './saga.store.port.js';
import type { StepsElsewhere } from './steps-elsewhere.js';
import {
  type ResultOptions,
  type SagaFilter,
  type SagaInstance,
  type SagaOutcome,
  Sagas,
  type SkipAction,
  type StartOptions,
} from './sagas.js';

const ID_LENGTH = 255;
const DEFAULT_RESULT_TIMEOUT: Duration = '30s';
/** Between two looks for the result of a saga that another process may work on; the first is soon. */
const FIRST_LOOK_MS = 50;
const LOOK_MS = 500;

/** What the sagas of a process work with. */
export interface StoredSagasParts {
  readonly store: SagaStore;
  readonly units: UnitEngine<Outgoing>;
  /** Name of the data source the store is in. */
  readonly dataSource: string;
  readonly register: SagaRegister;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  /** True inside any unit of work, a broker's too. */
  readonly isInUnit: () => boolean;
  /** Refuses what a database keeps where none commits. @throws HF_UOW_KAFKA_DATABASE */
  readonly assertDatabase: (call: string) => void;
  /** Where no step has another DataSource it is not needed. */
  readonly elsewhere?: StepsElsewhere | undefined;
  /** Undefined before the start. */
  readonly runner: () => SagaRunner | undefined;
}

/** Somebody who waits for the end of an instance. */
interface Waking {
  readonly promise: Promise<void>;
  forget(): void;
}

/** Sagas as rows of a store. */
export class StoredSagas extends Sagas {
  private readonly waiting = new Map<string, Set<() => void>>();

  constructor(private readonly parts: StoredSagasParts) {
    super();
  }

  /** An instance has ended here: whoever waits for it looks at once. */
  ended(id: string): void {
    for (const wake of this.waiting.get(id) ?? []) wake();
  }

  async start(saga: object, state: unknown, { id }: StartOptions): Promise<{ readonly id: string; readonly started: boolean }> {
    const { register, units, dataSource, assertDatabase } = this.parts;
    assertDatabase('sagas.start()');
    const runnable = register.of(saga);
    const { definition } = runnable;
    const reason = unstorable(id, ID_LENGTH);
    if (reason !== undefined) throw hfError('HF_SAGA_ID', { saga: definition.name, reason, limit: ID_LENGTH });
    const text = encodeState(state, { saga: definition.name, id, step: 'none' });
    const begun = { runnable, id, state: text };
    if (units.current(dataSource) !== undefined) return this.startIn(units.current(dataSource) as UnitInScope<Outgoing>, begun);
    return units.run({ dataSource }, () => this.startIn(units.current(dataSource) as UnitInScope<Outgoing>, begun));
  }

  private async startIn(
    unit: UnitInScope<Outgoing>,
    { runnable, id, state }: Omit<BeginningSaga, 'isTaken'>,
  ): Promise<{ readonly id: string; readonly started: boolean }> {
    if (unit.isReadOnly) throw hfError('HF_UOW_READ_ONLY', { call: 'sagas.start()' });
    const { name: saga, version } = runnable.definition;
    let begun: BegunSaga | undefined;
    const isTaken = this.whenCommitted(unit, (isOurs) => {
      const runner = this.parts.runner();
      if (begun?.isStarted) isOurs && begun.queue === undefined ? runner?.offer(id) : runner?.nudge();
    });
    const found = await unit.inTurn(async (tx) => {
      begun = await startSaga(this.parts, tx, { runnable, id, state, isTaken });
      // As late as can be, after the hooks of users: from then on whoever has the key waits for this unit.
      if (begun.queue !== undefined) unit.beforeCommit(begun.queue);
      return begun;
    });
    if (found.saga !== undefined && found.saga !== saga) throw hfError('HF_SAGA_ID_TAKEN', { id, found: found.saga, saga });
    if (found.isStarted) emit('saga:started', () => ({ saga, id, version }));
    return { id, started: found.isStarted };
  }

  /** Runs `then` after the commit; whether the instance is to be ours. In a transaction of the user's nobody tells us when that is. */
  private whenCommitted(unit: UnitInScope<Outgoing>, then: (isOurs: boolean) => void): boolean {
    let isOurs = false;
    try {
      this.parts.units.afterCommit(() => then(isOurs));
    } catch (error) {
      if (isHoldfastError(error, 'HF_UOW_NOT_OWNED')) return false;
      throw error;
    }
    const runner = this.parts.runner();
    if (runner?.reserve() !== true) return false;
    isOurs = true;
    unit.onEnd(() => runner.giveBack());
    return true;
  }

  async result(id: string, { timeout = DEFAULT_RESULT_TIMEOUT }: ResultOptions = {}): Promise<SagaOutcome<never>> {
    const { clock, store, isInUnit, runner } = this.parts;
    if (isInUnit()) throw hfError('HF_SAGA_RESULT_IN_TRANSACTION', { id });
    const timeoutMs = toMs(timeout, 'timeout');
    const untilMs = clock.monotonicMs() + timeoutMs;
    // While this process works on it, its end is not to be seen yet.
    if (runner()?.worksOn(id)) await this.wokenWithin(this.wokenBy(id), Math.min(LOOK_MS, timeoutMs));
    for (let lookMs = FIRST_LOOK_MS; ; lookMs = Math.min(LOOK_MS, lookMs * 2)) {
      const woken = this.wokenBy(id);
      try {
        const found = await store.operations.look(id);
        if (found === undefined) throw hfError('HF_SAGA_UNKNOWN', { id });
        const outcome = outcomeOf(id, found);
        if (outcome !== undefined) return outcome;
        const leftMs = untilMs - clock.monotonicMs();
        if (leftMs <= 0) throw hfError('HF_SAGA_RESULT_TIMEOUT', { id, timeoutMs, step: stepsAt(found.progress) });
        await this.wokenWithin(woken, Math.min(lookMs, leftMs));
      } finally {
        woken.forget();
      }
    }
  }

  list(filter: SagaFilter & Page = {}): Promise<Paged<SagaInstance>> {
    return this.parts.store.operations.list(filter);
  }

  get(id: string): Promise<SagaInstance | undefined> {
    return this.parts.store.operations.find(id);
  }

  resume(id: string, action: OperatorAction): Promise<void> {
    return this.repair(id, { ...action, name: 'resume' });
  }

  retry(id: string, action: OperatorAction): Promise<void> {
    return this.repair(id, { ...action, name: 'retry' });
  }

  async skip(id: string, { step, ...action }: SkipAction): Promise<void> {
    this.assertOperator(id, { ...action, name: 'skip' });
    const about = step === undefined ? await this.parkingNow(id) : { step, sinceMs: undefined };
    await this.repair(id, { ...action, name: 'skip' }, about);
  }

  cancel(id: string, action: OperatorAction): Promise<void> {
    const { by, reason = 'no reason given' } = action;
    return this.operate(id, { ...action, name: 'cancel' }, ({ progress }, definition) => {
      assertForward(id, progress);
      if (isPastPivot(definition, progress)) throw hfError('HF_SAGA_PAST_PIVOT', { id, step: stepsAt(progress) });
      return { kind: 'cancelled', error: cancelledError(id, { by, reason, step: progress.at[0]?.step }) };
    });
  }

  async purge(id: string, action: OperatorAction): Promise<void> {
    this.assertOperator(id, { ...action, name: 'purge' });
    await purgeSaga(this.parts.store.operations, id, action);
  }

  private repair(id: string, action: OperatorAction & { readonly name: SagaRepair }, about?: SagaParking): Promise<void> {
    const { name } = action;
    return this.operate(id, action, ({ progress }) => {
      assertParked(id, name, progress);
      if (about !== undefined) assertAbout(id, about, progress);
      return { kind: REPAIRED[name] };
    });
  }

  /** What a saga stands for now: whoever has it in work may bring it elsewhere before an operator has its turn. */
  private async parkingNow(id: string): Promise<SagaParking> {
    const found = await this.parts.store.operations.look(id);
    if (found === undefined) throw hfError('HF_SAGA_UNKNOWN', { id });
    assertParked(id, 'skip', found.progress);
    return parkingOf(found.progress);
  }

  private async operate(
    id: string,
    action: OperatorAction & { readonly name: string },
    eventOf: (saga: StoredSaga, definition: SagaDefinition) => SagaEvent,
  ): Promise<void> {
    const { store, register, random, runner, elsewhere, logger } = this.parts;
    this.assertOperator(id, action);
    let told: SagaCourse | undefined;
    const change: OperatorChange = async (saga) => {
      const runnable = register.find(saga.saga, saga.version);
      if (runnable === undefined)
        throw hfError('HF_SAGA_NOT_KEPT', { id, saga: saga.saga, version: saga.version, step: stepsAt(saga.progress) });
      const { definition, outline } = runnable;
      if (saga.outline !== outline) throw changedUnder(saga, outline);
      const course = new SagaCourse(saga, runnable, random);
      const event = eventOf(saga, definition);
      const step = event.kind === 'skipped' ? course.elsewhere() : undefined;
      if (step !== undefined) await elsewhere?.skip(step);
      course.repair(event, action);
      told = course;
      return course.change(() => false);
    };
    if (!(await store.operations.operate(id, action, change))) throw hfError('HF_SAGA_UNKNOWN', { id });
    told?.tell(logger);
    this.ended(id);
    runner()?.nudge();
  }

  private assertOperator(id: string, { name, by }: OperatorAction & { readonly name: string }): void {
    if (this.parts.isInUnit()) throw hfError('HF_SAGA_REPAIR_IN_TRANSACTION', { action: name, id });
    assertNamed(name, by);
  }

  private wokenBy(id: string): Waking {
    let wake: () => void = () => undefined;
    const promise = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const wakes = this.waiting.get(id) ?? new Set();
    this.waiting.set(id, wakes.add(wake));
    return {
      promise,
      forget: () => {
        wakes.delete(wake);
        if (wakes.size === 0 && this.waiting.get(id) === wakes) this.waiting.delete(id);
      },
    };
  }

  private async wokenWithin({ promise, forget }: Waking, ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.parts.scheduler.after(ms, resolve);
      void promise.then(() => {
        timer.cancel();
        resolve();
      });
    });
    forget();
  }
}

type Found = Pick<StoredSaga, 'saga' | 'version' | 'state' | 'progress'>;

/** How a saga ended; undefined while it has not. @throws HF_SAGA_STATE, HF_SAGA_PROGRESS where it has, and that cannot be read */
function outcomeOf(id: string, { saga, version, state, progress }: Found): SagaOutcome<never> | undefined {
  const { status, failure, parked, unread } = progress;
  if (status === 'running' || status === 'compensating') return undefined;
  const kept = decodeState(state, { saga, id, step: stepsAt(progress) }) as never;
  if (status === 'completed') return { status, state: kept };
  const stopped = parked?.failure ?? failure;
  if (stopped === undefined && unread !== undefined) throw hfError('HF_SAGA_PROGRESS', { saga, id, version });
  return stopped && { status, state: kept, failure: stopped };
}
