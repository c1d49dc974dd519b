import type { Outgoing } from '../../bus/outgoing.js';
import { Permits } from '../../delivery/permits.js';
import { WorkInHand } from '../../delivery/work-in-hand.js';
import { limitsFrom } from '../../message/limits.js';
import { NonRetryableError } from '../../errors/non-retryable-error.js';
import { silentLogger } from '../../monitoring/logger.js';
import { SagaAttempts } from '../../saga/saga-attempt.js';
import { longestStepMs } from '../../saga/saga-course.js';
import { isSagaReplyType, sagaRegistrations } from '../../saga/saga-messages.js';
import type { SagaRegister } from '../../saga/saga-register.js';
import { SagaRunner } from '../../saga/saga-runner.js';
import { StepAsking } from '../../saga/step-asking.js';
import { StoredSagas } from '../../saga/stored-sagas.js';
import { BranchAttempts } from '../../try-confirm-cancel/branch-attempt.js';
import { BranchRunner } from '../../try-confirm-cancel/branch-runner.js';
import { StoredBranches } from '../../try-confirm-cancel/stored-branches.js';
import { Tries } from '../../try-confirm-cancel/tries.js';
import { ScopeStorage } from '../../unit-of-work/scope.js';
import { UnitEngine } from '../../unit-of-work/unit-engine.js';
import { type Effect, type Run, took } from './accounts.spec.js';
import { SimulatedBranchStore } from './branch-store.spec.js';
import type { Receiver, Wire } from './broker.spec.js';
import { OUTBOX, type SimulatedDatabase, type SimulatedTransaction } from './database.spec.js';
import type { MoveMoney } from './participant.spec.js';
import type { SimulatedProcess } from './process.spec.js';
import type { StepWork } from './random-sagas.spec.js';
import { type DrawnUnit, type HoldingLimits, holdingTry, placedBy } from './random-units.spec.js';
import { SimulatedSagaStore } from './saga-store.spec.js';
import type { Troubles } from './troubles.spec.js';
import type { World } from './world.spec.js';

export const SERVICE = 'bank';
const CONNECTIONS = 6;

export interface BankNodeParts {
  readonly world: World;
  readonly db: SimulatedDatabase;
  readonly register: SagaRegister;
  readonly troubles: Troubles;
  /** Of its try. */
  readonly limits: HoldingLimits;
  /** Somebody may send a message with this key. */
  readonly wanted: (key: string) => void;
}

/** A process that works on sagas, with everything that production has for that, over ports that are simulated. */
export class BankNode implements Receiver, StepWork {
  readonly units: UnitEngine<Outgoing>;
  readonly runner: SagaRunner;
  readonly sagas: StoredSagas;
  readonly branchRunner: BranchRunner;
  readonly branches: StoredBranches;
  /** Units of clients that have not ended. */
  callers = 0;
  /** Code of clients that pauses, also after its unit has run out of time. */
  pausing = 0;
  private readonly tries: Tries;
  private readonly holding;
  private readonly intake;

  constructor(
    readonly process: SimulatedProcess,
    private readonly parts: BankNodeParts,
  ) {
    const { world, db, register, limits } = parts;
    const ports = { clock: process, scheduler: process, random: world.fork(), logger: silentLogger };
    const store = new SimulatedSagaStore(db, process, SERVICE);
    const scopes = new ScopeStorage<Outgoing>();
    const units = new UnitEngine<Outgoing>({
      ...ports,
      scopes,
      transactions: db.transactionsOf(process),
      writeOutgoing: async (tx, messages) => {
        const sql = tx as SimulatedTransaction;
        await sql.statement(() => {
          for (const message of messages) sql.add(OUTBOX, wireOf(message));
        });
        return undefined;
      },
    });
    const outlet = { accept: (message: Outgoing) => void units.current()?.outgoing(message) as undefined };
    const context = { ...ports, service: SERVICE, limits: limitsFrom(), transports: new Map(), noReceipts: () => undefined };
    const inHand = new WorkInHand();
    const permits = new Permits(CONNECTIONS);
    const attempts: SagaAttempts = new SagaAttempts({
      ...ports,
      store,
      units,
      inHand,
      sagaOf: (name, version) => register.find(name, version),
      asking: new StepAsking({ context, outlet, units, store, register, random: ports.random }),
      nudge: () => this.runner.nudge(),
      longestStepMs: longestStepMs(register.definitions),
      isStopping: () => this.runner.isStopping,
    });
    this.units = units;
    this.runner = new SagaRunner({
      ...ports,
      store,
      attempts,
      versions: register.outlines,
      concurrency: CONNECTIONS,
      permits,
      ended: (id) => this.sagas.ended(id),
    });
    this.sagas = new StoredSagas({
      ...ports,
      store,
      units,
      register,
      dataSource: db.parts.name,
      isInUnit: () => units.isActive,
      assertDatabase: () => undefined,
      runner: () => this.runner,
    });
    this.holding = holdingTry(limits, (effect, attempt) => this.local(effect, attempt));
    const { runnable } = this.holding;
    const branches = new SimulatedBranchStore(db, process, SERVICE);
    const { work, operations } = branches;
    this.branchRunner = new BranchRunner({
      ...ports,
      store: work,
      attempts: new BranchAttempts({ ...ports, store: work, units, inHand, tryOf: () => runnable }),
      methods: [runnable.name],
      concurrency: CONNECTIONS,
      permits,
    });
    this.tries = new Tries({
      ...ports,
      store: branches,
      units,
      dataSource: db.parts.name,
      assertDatabase: () => undefined,
      runner: () => this.branchRunner,
    });
    this.branches = new StoredBranches({
      store: operations,
      isInUnit: () => units.isActive,
      changed: () => this.branchRunner.nudge(),
    });
    this.intake = sagaRegistrations({
      store,
      service: SERVICE,
      transports: ['default'],
      signals: register.signals,
      currentTransaction: () => units.current()?.transaction,
      arrived: () => units.afterCommit(() => this.runner.nudge()),
    });
  }

  start(): void {
    this.process.run(() => {
      this.runner.start();
      this.branchRunner.start();
    });
  }

  get isBusy(): boolean {
    return this.callers > 0 || this.runner.isBusy || this.branchRunner.isBusy;
  }

  async stop(): Promise<void> {
    await Promise.all([this.runner.stop(), this.branchRunner.stop()]);
  }

  /** Runs a unit of work that holds money by tries. */
  async runUnit({ id, moves, timeoutMs, pauseMs, isRefused }: DrawnUnit): Promise<void> {
    const { hold, runnable } = this.holding;
    const work = async () => {
      for (const move of moves) await this.tries.call(runnable, [move], () => hold(move));
      await this.local(placedBy(id), 1);
      if (pauseMs > 0) await this.pause(pauseMs);
      if (isRefused) throw new NonRetryableError('it is refused');
    };
    this.callers += 1;
    await this.units.run({ timeout: timeoutMs }, work).finally(() => {
      this.callers -= 1;
    });
  }

  private async pause(ms: number): Promise<void> {
    this.pausing += 1;
    await this.process.sleep(ms);
    this.pausing -= 1;
  }

  async handle({ type, body, sagaId, causationId, key }: Wire): Promise<void> {
    const [replies, signals] = this.intake;
    const registration = isSagaReplyType(type) ? replies : signals;
    await this.units.runFramework({ timeout: '10s' }, async () =>
      registration?.handler(body as never, { sagaId, causationId, key, source: 'somebody' } as never),
    );
  }

  async local(effect: Effect, attempt: number): Promise<void> {
    const around = this.parts.troubles.before(this.process, effect, attempt);
    await around.begin();
    const run: Run = async (statement) => {
      const unit = this.units.current();
      if (unit === undefined) throw new Error('a step runs in no unit');
      return unit.inTurn((tx) => (tx as SimulatedTransaction).statement(() => statement(tx as SimulatedTransaction)));
    };
    if (!(await took(run, effect))) throw new NonRetryableError('the money is not there');
    await around.end();
  }

  async trouble(effect: Pick<Effect, 'saga' | 'step' | 'what'>, attempt: number): Promise<void> {
    await this.parts.troubles.before(this.process, effect, attempt).begin();
  }

  goesOn(saga: string, step: string): void {
    this.parts.world.say(saga, `${step} does not ask again`);
  }

  wanted(key: string): void {
    this.parts.wanted(key);
  }
}

function wireOf({ envelope, message }: Outgoing): Wire {
  const { id, type, sagaId, compensates, hasRun } = envelope;
  const { move } = JSON.parse(JSON.stringify(message)) as { readonly move: MoveMoney };
  return { to: move.to, id, type, body: move, sagaId, compensates, hasRun };
}
