import { recordParts } from '../../choreography/parts.js';
import { SAGA_ABORTED } from '../../choreography/saga-aborted.js';
import { withCompensations } from '../../choreography/registrations.js';
import type { CallOfMessage } from '../../delivery/answering.js';
import type { Registration } from '../../delivery/subscription-builder.js';
import { isHoldfastError } from '../../errors/holdfast-error.js';
import type { UnitEngine } from '../../unit-of-work/unit-engine.js';
import { type Effect, took } from './accounts.spec.js';
import type { SimulatedBroker, Wire } from './broker.spec.js';
import { SimulatedChoreographyStore, UNDOS, type UndoRow } from './choreography-store.spec.js';
import type { SimulatedDatabase, SimulatedTransaction } from './database.spec.js';
import type { SimulatedProcess } from './process.spec.js';
import { ACCOUNTS, SERVICES } from './random-sagas.spec.js';
import type { Answer, RequestDesk } from './request-memory.spec.js';
import type { Troubles } from './troubles.spec.js';
import type { World } from './world.spec.js';

/** A message of a trip. */
export const LEG = 'bank.leg';
const ATTEMPTS = 4;
/** Between two looks for what is to be undone. */
const LOOK_MS = 700;
const NOTED: Answer = {};

/** What one service does for a trip: money comes in, or goes out. */
export interface Leg {
  readonly service: string;
  readonly account: string;
  readonly amount: number;
}

/** A choreographed saga as it was drawn: each service reacts to what the one before has done. */
export interface DrawnTrip {
  readonly id: string;
  readonly legs: readonly Leg[];
  /** Who takes part last says that it is off. */
  readonly isRefused: boolean;
  /** So long after its begin somebody says so; undefined: nobody does. */
  readonly abortedAfterMs: number | undefined;
}

interface LegBody {
  readonly trip: DrawnTrip;
  readonly at: number;
}

export function drawTrip(world: World, id: string): DrawnTrip {
  const amount = world.between(1, 30);
  const legs = Array.from(
    { length: world.between(2, 5) },
    (): Leg => ({ service: world.pick(SERVICES), account: world.pick(ACCOUNTS), amount: 0 }),
  );
  const moving = legs.map((leg, at) => ({ ...leg, amount: at === 0 ? -amount : at === legs.length - 1 ? amount : 0 }));
  const how = world.pick(['well', 'refused', 'aborted', 'aborted'] as const);
  return {
    id,
    legs: moving,
    isRefused: how === 'refused',
    abortedAfterMs: how === 'aborted' ? world.pick([0, 20, 60, 300, 2000]) : undefined,
  };
}

export function isOff({ isRefused, abortedAfterMs }: DrawnTrip): boolean {
  return isRefused || abortedAfterMs !== undefined;
}

export function stepOfLeg(at: number): string {
  return `leg ${at}`;
}

/** Its first message; somebody who does not know whether it was sent sends it again. */
export function beginTrip(world: World, broker: SimulatedBroker, trip: DrawnTrip): void {
  broker.publish(legOf(trip, 0));
  if (world.chance(0.3)) broker.publish(legOf(trip, 0));
  const { abortedAfterMs } = trip;
  if (abortedAfterMs !== undefined)
    world.time.after(abortedAfterMs, () => {
      for (const wire of aborts(trip.id, 'client')) broker.publish(wire);
    });
}

function legOf(trip: DrawnTrip, at: number): Wire {
  return { to: (trip.legs[at] as Leg).service, id: `${trip.id}:${at}`, type: LEG, body: { trip, at } satisfies LegBody, sagaId: trip.id };
}

function aborts(sagaId: string, by: string): readonly Wire[] {
  return SERVICES.map((to) => ({ to, id: `${sagaId}:abort by ${by}`, type: SAGA_ABORTED, body: { reason: by }, sagaId }));
}

/** What the part of a service works with. */
export interface TripParts {
  readonly world: World;
  readonly db: SimulatedDatabase;
  readonly broker: SimulatedBroker;
  readonly troubles: Troubles;
}

/** A process that takes part. */
export interface Traveller {
  readonly process: SimulatedProcess;
  readonly units: UnitEngine<Wire>;
  readonly desk: RequestDesk;
}

/** The part of one service in trips, in any of its processes: what is recorded, aborted and undone is for the code of production to say. */
export class Trips {
  private readonly store = new SimulatedChoreographyStore();
  private looking = false;

  constructor(private readonly parts: TripParts) {}

  /** What is still to be undone. */
  get open(): readonly UndoRow[] {
    return [...this.parts.db.table<UndoRow>(UNDOS).values()];
  }

  /** Deals with a message of a trip. */
  async handle(here: Traveller, wire: Wire, attempt: number): Promise<void> {
    const { world, broker } = this.parts;
    const about = `${wire.type} ${wire.id}`;
    try {
      const how = await here.units.runFramework({ timeout: '5s' }, (tx) =>
        this.dealWith({ ...here, sql: tx as SimulatedTransaction, attempt }, wire),
      );
      world.say(here.process.name, `${about}: ${how}`);
    } catch (error) {
      world.say(here.process.name, `${about} failed (${attempt}): ${(error as Error).message}`);
      // Somebody else has the saga in work: that is no attempt.
      if (isHoldfastError(error, 'HF_SAGA_BUSY')) return broker.send(wire, world.between(100, 400), attempt);
      throw error;
    }
  }

  /** A person lets everything be undone that was given up. */
  redrive(): void {
    const table = this.parts.db.table<UndoRow>(UNDOS);
    for (const [place, row] of table) if (row.isDead) table.set(place, { ...row, attempts: 0, isDead: false });
  }

  private async dealWith(here: InWork, wire: Wire): Promise<string> {
    const { sql, desk } = here;
    if ((await desk.recall(sql, wire.id)) !== undefined) return 'again';
    await desk.keep(sql, wire.id, NOTED);
    if (wire.type === SAGA_ABORTED) {
      await this.registered(here).aborts.handler(wire.body as never, wire as never);
      return 'its saga is off';
    }
    const call = callOf(wire);
    const { kept, repeated } = await recordParts(this.store, sql, { undo: { name: 'undo', id: 1 }, calls: [call] });
    if (repeated.length > 0) return 'repeated';
    if (kept.length === 0) return 'dropped, its saga is off';
    await this.make(here, effectOf(wire.body as LegBody, 'do'));
    for (const next of followersOf(wire.body as LegBody)) here.units.current()?.outgoing(next);
    return 'done';
  }

  private async make({ process, sql, attempt }: InWork, effect: Effect): Promise<void> {
    const around = this.parts.troubles.before(process, effect, attempt);
    await around.begin();
    await took((statement) => sql.statement(() => statement(sql)), effect);
    await around.end();
  }

  /** Undoes what is due, one after another, in a process that is alive. */
  look(travellers: () => readonly Traveller[]): void {
    const { world, db } = this.parts;
    if (this.looking) return;
    this.looking = true;
    world.time.after(LOOK_MS, () => {
      this.looking = false;
      if (db.table(UNDOS).size > 0) this.look(travellers);
      const alive = travellers();
      if (alive.length === 0) return;
      const here = world.pick(alive);
      for (const [place, { dueMs, isDead }] of db.table<UndoRow>(UNDOS))
        if (!isDead && dueMs <= db.nowMs) void here.process.run(() => this.undo(here, place, travellers));
    });
  }

  private async undo(here: Traveller, place: string, travellers: () => readonly Traveller[]): Promise<void> {
    const { world, db } = this.parts;
    let attempt = 0;
    try {
      await here.units.runFramework({ timeout: '5s' }, async (tx) => {
        const sql = tx as SimulatedTransaction;
        const row = await sql.statement(async () =>
          (await sql.lock(UNDOS, place, { waits: false })) ? sql.get<UndoRow>(UNDOS, place) : undefined,
        );
        if (row === undefined || row.isDead || row.dueMs > db.nowMs) return;
        attempt = row.attempts + 1;
        const wire = JSON.parse(row.part.message.attributes) as Wire;
        await this.registered({ ...here, sql, attempt }).undoing.handler(wire.body as never, wire as never);
        await sql.statement(() => sql.put(UNDOS, place, undefined));
        world.say(here.process.name, `${wire.id}: undone`);
      });
      this.look(travellers);
    } catch (error) {
      world.say(here.process.name, `undo ${place} failed (${attempt}): ${(error as Error).message}`);
      if (attempt > 0) await this.failed(here, place, attempt).catch(() => undefined);
    }
  }

  /** Counts an attempt that failed, unless somebody else has done it since. */
  private failed({ process }: Traveller, place: string, attempts: number): Promise<void> {
    const { world, db } = this.parts;
    return db.alone(process, async (sql) => {
      await sql.lock(UNDOS, place);
      const row = sql.get<UndoRow>(UNDOS, place);
      if (row?.attempts !== attempts - 1) return;
      const isDead = attempts >= ATTEMPTS;
      if (isDead) world.say(process.name, `undo ${place} is given up`);
      sql.put(UNDOS, place, { ...row, attempts, isDead, dueMs: db.nowMs + world.between(50, 500) } satisfies UndoRow);
    });
  }

  /** The subscriptions that production puts beside a handler with a compensation. */
  private registered(here: InWork): { readonly aborts: Registration; readonly undoing: Registration } {
    const undo = (leg: LegBody) => this.make(here, effectOf(leg, 'undo'));
    const policies = { name: 'legs', compensate: { undo } };
    const [aborts, , undoing] = withCompensations([{ types: [], handler: () => undefined, policies } as unknown as Registration], {
      store: this.store,
      transports: new Map([['default', {}]]) as never,
      currentTransaction: () => here.units.current()?.transaction,
      afterCommit: (then) => here.units.afterCommit(then),
      due: () => undefined,
    });
    return { aborts: aborts as Registration, undoing: undoing as Registration };
  }
}

interface InWork extends Traveller {
  readonly sql: SimulatedTransaction;
  readonly attempt: number;
}

function effectOf({ trip, at }: LegBody, what: Effect['what']): Effect {
  const { account, amount } = trip.legs[at] as Leg;
  return { saga: trip.id, step: stepOfLeg(at), what, moves: [{ account, amount: what === 'do' ? amount : -amount }], isLimited: false };
}

function followersOf({ trip, at }: LegBody): readonly Wire[] {
  if (at + 1 < trip.legs.length) return [legOf(trip, at + 1)];
  return trip.isRefused ? aborts(trip.id, 'the last') : [];
}

/** As the handling has it: what is recorded of a message is its attributes, which here are all of it. */
function callOf(wire: Wire): CallOfMessage {
  const envelope = { id: wire.id, source: 'bank', sagaId: wire.sagaId };
  const incoming = { type: wire.type, attributes: JSON.stringify(wire), body: new Uint8Array() };
  return { message: { envelope, incoming, data: wire.body }, call: { facts: () => ({}) } } as unknown as CallOfMessage;
}
