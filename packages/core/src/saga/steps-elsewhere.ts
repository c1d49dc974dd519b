import type { Outgoing } from '../bus/outgoing.js';
import { hfError } from '../errors/catalogue.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { UnitEngine } from '../unit-of-work/unit-engine.js';
import type { GuardedStep, StepGuardStore } from './step-guard.store.port.js';

/** Beyond the time-out of the step, for its rollback and its COMMIT. */
const GRACE_MS = 2500;

/** What they work with. */
export interface StepsElsewhereParts {
  readonly units: UnitEngine<Outgoing>;
  readonly store: StepGuardStore;
  /** Name of the data source the store is in. */
  readonly dataSource: string;
}

/** A step, or what undoes it, that runs in another DataSource. */
export interface StepElsewhere {
  readonly dataSource: string;
  readonly guarded: GuardedStep;
  readonly timeoutMs: number;
  /** Of an undoing: nobody here knows whether the step was committed. */
  readonly isUnsure: boolean;
}

/**
 * Runs steps in transactions of other DataSources, each with its guard row. What is committed there comes before the saga's own commit: should that one
 * fail, the row makes the repeat a no-op with the same result, and tells an undoing whether there is anything to undo.
 */
export class StepsElsewhere {
  constructor(private readonly parts: StepsElsewhereParts) {}

  /** Calls a step unless it is committed already; what it has left. Throws what the call throws, with nothing left there. */
  run(step: StepElsewhere, call: () => Promise<string | undefined>): Promise<string | undefined> {
    return this.apart(step, step.timeoutMs + GRACE_MS, () => this.guarded(step, call));
  }

  /**
   * Keeps what a person has done by hand from being done here too, also by a process that wakes late. With what undoes a step, the step is kept from
   * running. Nothing is changed when it is committed here already.
   *
   * @throws HF_SAGA_STEP_COMMITTED
   */
  async skip({ dataSource, guarded }: Pick<StepElsewhere, 'dataSource' | 'guarded'>): Promise<void> {
    const { sagaId: id, step, operation } = guarded;
    await this.apart({ dataSource }, GRACE_MS, async () => {
      const found = await this.inTurn((tx) => this.parts.store.enter(tx, { step: guarded, mark: 'barred', mayBeHeld: true }));
      if (found?.mark === 'done')
        throw hfError('HF_SAGA_STEP_COMMITTED', { id, step, dataSource, what: operation === 'run' ? 'step' : 'undoing of the step' });
      if (operation === 'undo') await this.bar({ ...guarded, operation: 'run' });
    });
  }

  /** What it wrote into the transaction of the saga would be lost where only the other one commits. */
  private apart<T>({ dataSource }: Pick<StepElsewhere, 'dataSource'>, timeout: number, work: () => Promise<T>): Promise<T> {
    const { units, dataSource: home } = this.parts;
    const inTransaction = () => units.run({ dataSource, propagation: 'REQUIRES_NEW', timeout }, work);
    return units.run({ dataSource: home, propagation: 'NOT_SUPPORTED' }, inTransaction);
  }

  private async guarded({ guarded, isUnsure }: StepElsewhere, call: () => Promise<string | undefined>): Promise<string | undefined> {
    const { store } = this.parts;
    const found = await this.inTurn((tx) => store.enter(tx, { step: guarded, mark: 'done', mayBeHeld: true }));
    if (found?.mark === 'barred') throw hfError('HF_SAGA_STEP_BARRED', { step: guarded.step, id: guarded.sagaId });
    if (found !== undefined) return found.result;
    if (isUnsure && (await this.bar({ ...guarded, operation: 'run' }))) return undefined;
    const left = await call();
    if (left !== undefined) await this.inTurn((tx) => store.keep(tx, guarded, left));
    return left;
  }

  /** Keeps a step from ever running, once nobody has it in work any more; false when it has run. */
  private async bar(step: GuardedStep): Promise<boolean> {
    const found = await this.inTurn((tx) => this.parts.store.enter(tx, { step, mark: 'barred', mayBeHeld: false }));
    return found?.mark !== 'done';
  }

  private inTurn<T>(statement: (tx: Transaction) => Promise<T>): Promise<T> {
    const unit = this.parts.units.current();
    if (unit === undefined) throw hfError('HF_INVARIANT', { fact: 'a step of another DataSource runs outside any transaction' });
    return unit.inTurn(statement);
  }
}
