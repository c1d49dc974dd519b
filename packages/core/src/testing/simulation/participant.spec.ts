import { SAGA_ABORTED } from '../../choreography/saga-aborted.js';
import { describeFailure } from '../../errors/describe-failure.js';
import { isHoldfastError } from '../../errors/holdfast-error.js';
import { isNonRetryableError, NonRetryableError } from '../../errors/non-retryable-error.js';
import { silentLogger } from '../../monitoring/logger.js';
import { sagaReplyType } from '../../saga/saga-messages.js';
import { ScopeStorage } from '../../unit-of-work/scope.js';
import { UnitEngine } from '../../unit-of-work/unit-engine.js';
import { type Effect, took } from './accounts.spec.js';
import type { Receiver, SimulatedBroker, Wire } from './broker.spec.js';
import { OUTBOX, type SimulatedDatabase, type SimulatedTransaction } from './database.spec.js';
import type { SimulatedProcess } from './process.spec.js';
import { OutsideHandlers, Provider } from './outside.spec.js';
import { type Answer, RequestDesk, SimulatedRequests } from './request-memory.spec.js';
import { LEG, Trips } from './trips.spec.js';
import type { Troubles } from './troubles.spec.js';
import type { World } from './world.spec.js';

/** What a step asks another service for. */
export interface MoveMoney {
  readonly to: string;
  readonly effect: Effect;
  /** Whoever is asked keeps no record of what is undone. */
  readonly isForeign: boolean;
}

const ATTEMPTS = 4;
const DONE: Answer = { value: 'done' };

/** A service with accounts, of several processes over one database: what is done of a request, and of what undoes one, is for the guard of production to say. */
export class Participant {
  readonly db: SimulatedDatabase;
  receivers: (Receiver & Here)[] = [];
  readonly trips: Trips;
  /** Given up, and nobody knows what was done. */
  private readonly dead: Wire[] = [];
  private readonly provider: Provider;
  /** Its handlers call another system, outside any transaction. */
  private readonly isOutside: boolean;
  private started = 0;

  constructor(
    private readonly world: World,
    private readonly parts: { readonly name: string; readonly broker: SimulatedBroker; readonly troubles: Troubles },
  ) {
    const { name, broker } = parts;
    this.db = world.database(name, (table, row) => {
      if (table === OUTBOX) broker.publish(row as Wire);
    });
    this.isOutside = world.random.next() < 0.35;
    this.provider = new Provider(world, this.db);
    this.trips = new Trips({ world, db: this.db, broker, troubles: parts.troubles });
    broker.serve(name, () => this.receivers);
  }

  /** One more process. */
  start(): SimulatedProcess {
    const { world } = this;
    this.started += 1;
    const process = world.process(`${this.parts.name}-${this.started}`);
    const units = new UnitEngine<Wire>({
      transactions: this.db.transactionsOf(process),
      scopes: new ScopeStorage<Wire>(),
      clock: process,
      scheduler: process,
      random: world.fork(),
      logger: silentLogger,
      writeOutgoing: async (tx, wires) => {
        const sql = tx as SimulatedTransaction;
        await sql.statement(() => {
          for (const wire of wires) sql.add(OUTBOX, wire);
        });
        return undefined;
      },
    });
    const desk = new RequestDesk(process, new SimulatedRequests(this.db, process));
    const { isOutside, provider } = this;
    const outside = isOutside ? new OutsideHandlers({ process, units, desk, provider, troubles: this.parts.troubles }) : undefined;
    const here = { process, units, desk, outside };
    const isOfTrip = ({ type }: Wire) => type === LEG || type === SAGA_ABORTED;
    const receiver: Receiver & Here = {
      ...here,
      handle: (wire, attempt) => (isOfTrip(wire) ? this.travel(here, wire, attempt) : this.handle(here, wire, attempt)),
    };
    this.receivers.push(receiver);
    process.onDeath(() => {
      this.receivers = this.receivers.filter((one) => one !== receiver);
      this.db.disconnect(process);
    });
    return process;
  }

  /** What a person still has to do by hand. */
  get byHand(): number {
    return this.provider.byHand;
  }

  /** Messages that wait for a person. */
  get letters(): number {
    return this.dead.length;
  }

  /** A person lets everything be handled that was given up. */
  redrive(): void {
    this.trips.redrive();
    this.trips.look(() => this.receivers);
    for (const wire of this.dead.splice(0)) this.parts.broker.send(wire, this.world.between(1, 50), 1);
  }

  private async travel(here: Here, wire: Wire, attempt: number): Promise<void> {
    await this.trips.handle(here, wire, attempt).catch((error: unknown) => {
      if (attempt < ATTEMPTS) throw error;
      this.dead.push(wire);
    });
    if (this.trips.open.length > 0) this.trips.look(() => this.receivers);
  }

  private async handle(here: Here, wire: Wire, attempt: number): Promise<void> {
    const { effect } = wire.body as MoveMoney;
    const about = `${effect.what} ${effect.step} of ${effect.saga}`;
    try {
      const how = await this.calledOrIn(here, wire, attempt);
      this.world.say(here.process.name, `${about}: ${how}`);
    } catch (error) {
      const isFinal = isNonRetryableError(error) || (attempt >= ATTEMPTS && effect.what === 'do');
      this.world.say(here.process.name, `${about} failed (${attempt}): ${(error as Error).message}`);
      // Somebody else has it in work: that is no attempt.
      if (isHoldfastError(error, 'HF_IDEMPOTENT_IN_PROGRESS')) return this.parts.broker.send(wire, this.world.between(100, 400), attempt);
      if (isHoldfastError(error, 'HF_REQUEST_UNDONE_IN_WORK'))
        return this.provider.undoByHand(error.details.idempotencyKey as string, effect);
      if (!isFinal) throw error;
      const isRefused = await this.inUnit(here, wire, (sql) => this.refuse({ ...here, sql, attempt }, wire, error)).catch(unlessInWork);
      if (isRefused === undefined) return this.parts.broker.send(wire, this.world.between(100, 400), attempt);
      if (!isNonRetryableError(error)) this.dead.push(wire);
      // A person may let it be handled once more, however much later.
      if (!isNonRetryableError(error) && this.world.chance(0.5))
        this.parts.broker.send(wire, this.world.between(500, 20_000), ATTEMPTS - 1);
    }
  }

  /** Outside any transaction the reply comes after what was done, and is given again to whoever asks again. */
  private async calledOrIn(here: Here, wire: Wire, attempt: number): Promise<string> {
    const { outside } = here;
    if (outside === undefined || (wire.body as MoveMoney).isForeign)
      return this.inUnit(here, wire, (sql) => this.dealWith({ ...here, sql, attempt }, wire));
    const { how, answer } = await outside.call(wire, attempt);
    return this.inUnit(here, wire, async () => ({ how, answer }));
  }

  private async inUnit(
    { units }: Here,
    wire: Wire,
    work: (sql: SimulatedTransaction) => Promise<{ readonly how: string; readonly answer: Answer }>,
  ): Promise<string> {
    return units.runFramework({ timeout: '5s' }, async (tx) => {
      const { how, answer } = await work(tx as SimulatedTransaction);
      const { id, sagaId } = wire;
      units.current()?.outgoing({ to: 'bank', id: `${id}:reply`, type: sagaReplyType('bank'), body: answer, sagaId, causationId: id });
      return how;
    });
  }

  private async dealWith(here: InWork, wire: Wire) {
    const { sql, desk } = here;
    const { effect, isForeign } = wire.body as MoveMoney;
    // Somebody who knows nothing of compensations does each message once, whatever it means.
    if (wire.compensates === undefined || isForeign) {
      const known = await desk.recall(sql, wire.id);
      if (known?.answer !== undefined) return { how: 'again', answer: known.answer };
      if (known !== undefined) return { how: 'dropped, it was undone', answer: dropped() };
      await this.make(here, effect);
      await desk.keep(sql, wire.id, DONE);
      return { how: 'done', answer: DONE };
    }
    const isToBeUndone = await desk.isToBeUndone(sql, wire);
    if (isToBeUndone) await this.make(here, effect);
    return { how: isToBeUndone ? 'done' : 'needless', answer: DONE };
  }

  private async make({ process, sql, attempt }: InWork, effect: Effect): Promise<void> {
    const after = this.parts.troubles.before(process, effect, attempt);
    await after.begin();
    if (!(await took((statement) => sql.statement(() => statement(sql)), effect))) throw new NonRetryableError('the money is not there');
    await after.end();
  }

  private async refuse({ desk, sql }: InWork, wire: Wire, error: unknown) {
    const { isForeign } = wire.body as MoveMoney;
    const isDeliberate = isNonRetryableError(error);
    if (isDeliberate && !isForeign && wire.compensates === undefined)
      return { how: 'refused', answer: await desk.refuse(sql, wire, error) };
    const isDefinite = isForeign && isDeliberate;
    const { code, message } = describeFailure(error);
    const answer: Answer = { refusal: { code, message, details: {}, isDefinite } };
    if (isForeign && isDefinite) await desk.keep(sql, wire.id, answer);
    return { how: 'refused', answer };
  }
}

interface Here {
  readonly process: SimulatedProcess;
  readonly units: UnitEngine<Wire>;
  readonly desk: RequestDesk;
  readonly outside: OutsideHandlers | undefined;
}

interface InWork extends Here {
  readonly sql: SimulatedTransaction;
  readonly attempt: number;
}

function unlessInWork(error: unknown): undefined {
  if (!isHoldfastError(error, 'HF_IDEMPOTENT_IN_PROGRESS')) throw error;
}

function dropped(): Answer {
  return { refusal: { code: 'HF_REQUEST_UNDONE', message: 'it was undone', details: {}, isDefinite: false } };
}
