import type { SagaProgress } from '../../saga/saga-progress.js';
import { SagaRegister } from '../../saga/saga-register.js';
import { armFailpoint, disarmFailpoints, type FailpointName } from '../failpoints.js';
import { type Effect, type LedgerRow, openAccounts, took } from './accounts.spec.js';
import { BankNode, SERVICE } from './bank-node.spec.js';
import { SimulatedBroker, type Wire } from './broker.spec.js';
import { OUTBOX, type SimulatedDatabase, type SimulatedTransaction } from './database.spec.js';
import { Participant } from './participant.spec.js';
import { isRarelyPassed, PLACES, PLACES_OF_TRIES, PLACES_OF_TRIPS } from './places.spec.js';
import { currentProcess, type SimulatedProcess } from './process.spec.js';
import type { BranchRow } from './branch-store.spec.js';
import { type DrawnUnit, drawLimits, drawUnit, HELD, type HeldMove, type HoldingLimits } from './random-units.spec.js';
import { ACCOUNTS, type DrawnSaga, type DrawnStep, drawSaga, effectOf, SERVICES } from './random-sagas.spec.js';
import type { HistoryRow, SagaRow } from './saga-rows.spec.js';
import { beginTrip, type DrawnTrip, drawTrip } from './trips.spec.js';
import { Troubles } from './troubles.spec.js';
import type { World } from './world.spec.js';

const BRANCHES = `${SERVICE}.branch`;
/** For sagas, and for branches. */
const LOOKS = 2;
/** How long the claims of a process outlive it. */
const DEATH_SEEN_MS = 6000;
/** A bank that moves money between its own accounts and those of three other services, its processes, its clients, its operators, and what befalls them. */
export class Bank {
  readonly db: SimulatedDatabase;
  readonly broker: SimulatedBroker;
  readonly participants: readonly Participant[];
  readonly drawn = new Map<string, DrawnSaga>();
  /** Ids of the sagas that clients want, with their definition. */
  readonly wanted = new Map<string, DrawnSaga>();
  readonly units: DrawnUnit[] = [];
  readonly trips: DrawnTrip[] = [];
  /** What clients were told of their units. */
  readonly told = new Map<string, 'committed' | 'refused'>();
  nodes: BankNode[] = [];
  /** No further process is started. */
  isOver = false;
  private readonly register = new SagaRegister((text) => {
    throw new Error(text);
  });
  private readonly troubles: Troubles;
  private readonly limits: HoldingLimits;
  private readonly approved = new Set<string>();
  private readonly ann: SimulatedProcess;
  /** What a person takes it upon herself to do, by saga and step. */
  private readonly skipped = new Map<string, Effect>();
  private byHand = 0;
  /** A try that hangs has the timer of its time-out for so long, also when its caller is gone. */
  private hangUntilMs = 0;
  private startedNodes = 0;
  private unstarted = 0;

  constructor(private readonly world: World) {
    const { register } = this;
    this.broker = new SimulatedBroker(world);
    this.ann = world.process('ann');
    this.troubles = new Troubles(world, (process) => this.killed(process));
    this.db = world.database('bank-db', (table, row) => {
      if (table === OUTBOX) this.broker.publish(row as Wire);
      if (table === `${SERVICE}.history`) this.tell(row as HistoryRow);
      if (table === BRANCHES) this.tellBranch(row as BranchRow);
    });
    this.broker.serve(SERVICE, () => this.nodes);
    openAccounts(this.db, [...ACCOUNTS, HELD]);
    this.limits = drawLimits(world);
    this.participants = SERVICES.map((name) => new Participant(world, { name, broker: this.broker, troubles: this.troubles }));
    for (const { db } of this.participants) openAccounts(db, ACCOUNTS);
    const work = () => this.here();
    const child = drawSaga(world, 'child', { work });
    const others = Array.from({ length: world.between(1, 3) }, (_, at) => drawSaga(world, `saga ${at + 1}`, { work, child }));
    for (const one of [child, ...others]) {
      this.drawn.set(one.builder.name, one);
      register.add(one.builder);
    }
  }

  /** Starts everything, and says when what will happen. */
  begin(chaosMs: number): void {
    const { world } = this;
    for (let count = world.between(1, 3); count > 0; count -= 1) this.startNode();
    for (const participant of this.participants) for (let count = world.between(1, 2); count > 0; count -= 1) participant.start();
    const definitions = [...this.drawn.values()].slice(1);
    // Some seeds have them all at once, and they wait for each other's accounts.
    const withinMs = world.pick([40, chaosMs / 2]);
    for (let at = world.between(2, 5); at > 0; at -= 1) this.client(`t${at}`, world.pick(definitions), world.between(1, withinMs));
    for (let at = world.pick([0, 0, 2, 4]); at > 0; at -= 1) this.caller(drawUnit(world, `u${at}`), world.between(1, withinMs));
    for (let at = world.pick([0, 0, 0, 2]); at > 0; at -= 1) this.traveller(drawTrip(world, `j${at}`), world.between(1, withinMs));
    if (this.trips.length > 0 && world.random.next() < 0.5) this.killAt(world.pick(PLACES_OF_TRIPS));
    if (this.units.length > 0 && world.random.next() < 0.5) this.killAt(world.pick(PLACES_OF_TRIES));
    for (let count = world.pick([0, 3, 8, 15]); count > 0; count -= 1) world.time.after(world.between(100, chaosMs), () => this.befall());
    for (let atMs = 2000; atMs < chaosMs; atMs += world.between(1000, 5000)) world.time.after(atMs, () => this.operator());
  }

  /** From now on nothing breaks, and operators see to what is parked. */
  calm(): void {
    disarmFailpoints();
    this.world.isCalm = true;
    for (const { db } of [this, ...this.participants]) db.restart();
    this.world.say('world', 'it is calm');
  }

  get rows(): readonly SagaRow[] {
    return [...this.db.table<SagaRow>('bank.saga').values()];
  }

  get branches(): readonly BranchRow[] {
    return [...this.db.table<BranchRow>(BRANCHES).values()];
  }

  private get mayHang(): boolean {
    return this.world.time.monotonicMs() < this.hangUntilMs;
  }

  /** What has not come to its end. */
  get open(): readonly string[] {
    const sagas = this.rows.filter(({ endedMs }) => endedMs === undefined).map(({ id, progress }) => `${id}: ${progress}`);
    const branches = this.branches.filter(({ endedMs }) => endedMs === undefined).map(({ id, progress }) => `${id}: ${progress.status}`);
    const callers = this.nodes.reduce((sum, node) => sum + node.callers, 0);
    const byHand = this.participants.reduce((sum, participant) => sum + participant.byHand, this.byHand);
    const undoing = this.participants.reduce((sum, { trips }) => sum + trips.open.length, 0);
    const letters = this.trips.length > 0 ? this.participants.reduce((sum, participant) => sum + participant.letters, 0) : 0;
    const rest = [
      this.mayHang ? 'a try that hangs' : '',
      callers > 0 ? `${callers} units of clients` : '',
      this.unstarted > 0 ? `${this.unstarted} not started` : '',
      byHand > 0 ? `${byHand} to be done by hand` : '',
      undoing > 0 ? `${undoing} parts to be undone` : '',
      letters > 0 ? `${letters} letters` : '',
      this.broker.pending > 0 ? `${this.broker.pending} messages` : '',
    ];
    return [...sagas, ...branches, ...rest.filter((text) => text !== '')];
  }

  /** Processes that have nothing to do, and more timers than those of their next looks: what sleeps is a row, and nothing in a process. */
  idleTimers(): readonly string[] {
    if (this.db.open.size > 0 || this.broker.inHand > 0 || this.mayHang) return [];
    return this.nodes
      .filter(({ isBusy, process }) => !isBusy && this.db.tripsOf(process) === 0)
      .filter(({ process, pausing }) => process.timerCount > LOOKS + pausing + this.troubles.slowIn(process))
      .map(({ process: { name, timerCount } }) => `${name} is idle and has ${timerCount} timers`);
  }

  /** Looks at what is parked, and lets it go on. */
  operator(): void {
    const { world } = this;
    const node = this.nodes.length > 0 ? world.pick(this.nodes) : undefined;
    if (node === undefined) return;
    if (world.isCalm) for (const participant of this.participants) participant.redrive();
    const said = { by: 'ann', reason: 'she has looked at it' };
    const act = (what: string, work: () => Promise<void>) => {
      world.say('operator', what);
      void node.process.run(work).catch((error: Error) => world.say('operator', `${what}: ${error.message}`));
    };
    for (const { id, saga, progress, endedMs } of this.rows) {
      const { status, at } = JSON.parse(progress) as SagaProgress;
      const what = world.pick(['resume', 'retry'] as const);
      const stopped = status === 'parked' ? at.find(({ isStopped }) => isStopped) : undefined;
      const isLocal = ({ kind, isUndoable }: DrawnStep) => kind === 'local' || (kind !== 'remote' && isUndoable);
      const local = this.drawn.get(saga)?.steps.find((step) => step.name === stopped?.step && isLocal(step));
      if (local !== undefined && world.random.next() < 0.3) {
        this.skipped.set(`${id} ${local.name}`, effectOf(local, id, stopped?.way === 'compensating' ? 'undo' : 'do'));
        act(`skip ${id}`, () => node.sagas.skip(id, said));
      } else if (status === 'parked' && (world.isCalm || world.chance(0.5))) act(`${what} ${id}`, () => node.sagas[what](id, said));
      else if (endedMs === undefined && world.chance(0.04)) act(`cancel ${id}`, () => node.sagas.cancel(id, said));
    }
    for (const { id, progress } of this.branches)
      if (progress.status === 'parked' && (world.isCalm || world.chance(0.5)))
        act(`retry branch ${id}`, () => node.branches.retry(id, said));
  }

  /** What she has said is done: she does it, however often she has to try. */
  private doByHand(effect: Effect): void {
    const { world, ann } = this;
    this.byHand += 1;
    const isDone = ({ saga, step, what }: LedgerRow) => saga === effect.saga && step === effect.step && what === effect.what;
    const doIt = async (sql: SimulatedTransaction) => {
      if (!sql.all<LedgerRow>('ledger').some(([, row]) => isDone(row))) await took(async (statement) => statement(sql), effect);
    };
    const attempt = () => {
      this.db.alone(ann, doIt).then(
        () => {
          this.byHand -= 1;
        },
        () => world.time.after(200, attempt),
      );
    };
    ann.run(attempt);
  }

  private tell({ saga, step, event, detail }: HistoryRow): void {
    const skipped = event === 'skipped' ? this.skipped.get(`${saga} ${step}`) : undefined;
    if (skipped !== undefined) this.doByHand({ ...skipped, isLimited: false });
    this.world.say(saga, `${step === undefined ? '' : `${step} `}${event}${detail === undefined ? '' : ` (${detail})`}`);
  }

  private tellBranch({ progress, worker, arguments: args }: BranchRow): void {
    const [{ unit, place }] = JSON.parse(args) as [HeldMove];
    // With the commit that changed it.
    if (worker === undefined && progress.operation !== undefined) this.world.say(unit, `branch ${place} is ${progress.status}`);
  }

  private here(): BankNode {
    const process = currentProcess();
    const found = this.everyNode.get(process as SimulatedProcess);
    if (found === undefined) throw new Error('a step runs in no process of the bank');
    return found;
  }

  private readonly everyNode = new Map<SimulatedProcess, BankNode>();

  private startNode(): void {
    const { world, db, register, troubles, limits } = this;
    if (this.isOver) return;
    this.startedNodes += 1;
    const process = world.process(`bank-${this.startedNodes}`);
    const node = process.run(() => new BankNode(process, { world, db, register, troubles, limits, wanted: (key) => this.approve(key) }));
    this.everyNode.set(process, node);
    this.nodes.push(node);
    db.table('node').set(process.name, {});
    process.onDeath(() => {
      this.nodes = this.nodes.filter((one) => one !== node);
      db.disconnect(process);
      world.time.after(DEATH_SEEN_MS, () => this.takeOut(process));
      world.time.after(world.between(100, 8000), () => this.startNode());
    });
    node.start();
  }

  /** Wants a saga until it is started; asks twice when it does not know, and sometimes anyhow. */
  private client(id: string, saga: DrawnSaga, atMs: number): void {
    const { world } = this;
    this.wanted.set(id, saga);
    this.unstarted += 1;
    let isKnown = false;
    const flag = world.random.next() < 0.6;
    const ask = () => {
      if (isKnown) return;
      const again = () => world.time.after(world.between(50, 1000), ask);
      const node = this.nodes.length > 0 ? world.pick(this.nodes) : undefined;
      if (node === undefined) return void again();
      let isOver = false;
      const over = (isDone: boolean) => {
        if (isOver) return;
        isOver = true;
        if (!isDone) return void again();
        if (!isKnown) this.unstarted -= 1;
        isKnown = true;
      };
      node.process.onDeath(() => over(false));
      node.process
        .run(() => node.sagas.start(saga.builder, { flag }, { id }))
        .then(
          () => over(true),
          () => over(false),
        );
    };
    world.time.after(atMs, ask);
    if (world.chance(0.3)) world.time.after(atMs + world.between(0, 20), ask);
    if (world.chance(0.2))
      for (const { name, kind } of saga.steps)
        if (kind === 'wait' || kind === 'first') this.approve(`${id}/${name}`, atMs + world.between(0, 500));
  }

  /** Runs a unit that calls tries, once: who does not know how it ended does not ask again. */
  private caller(unit: DrawnUnit, atMs: number): void {
    const { world } = this;
    this.units.push(unit);
    world.time.after(atMs, () => {
      const node = this.nodes.length > 0 ? world.pick(this.nodes) : undefined;
      if (node === undefined) return;
      node.process
        .run(() => node.runUnit(unit))
        .then(
          () => this.told.set(unit.id, 'committed'),
          (error: { readonly code?: string }) => {
            world.say(unit.id, `failed with ${error.code}`);
            this.hangUntilMs = world.time.monotonicMs() + this.limits.timeout;
            if (error.code !== 'HF_UOW_COMMIT_UNKNOWN') this.told.set(unit.id, 'refused');
          },
        );
    });
  }

  private traveller(trip: DrawnTrip, atMs: number): void {
    this.trips.push(trip);
    this.unstarted += 1;
    this.world.time.after(atMs, () => {
      this.unstarted -= 1;
      beginTrip(this.world, this.broker, trip);
    });
  }

  /** Sends what some step waits for, sooner or later, or not; in good time when it is calm. */
  private approve(key: string, afterMs = this.world.between(1, this.world.isCalm ? 20 : 2500)): void {
    const { world } = this;
    if (this.approved.has(key) || world.chance(0.25)) return;
    this.approved.add(key);
    world.time.after(afterMs, () => this.broker.publish({ to: SERVICE, id: key, type: 'bank.approved', body: { by: 'somebody' }, key }));
  }

  /** Something goes wrong. */
  private befall(): void {
    const { world } = this;
    if (world.isCalm) return;
    const databases = [this, ...this.participants].map(({ db }) => db);
    const what = world.pick(['kill', 'kill', 'place', 'place', 'place', 'crash', 'throw out', 'kill other'] as const);
    if (what === 'crash') this.crash(world.pick(databases));
    else if (what === 'place') this.killAt(world.pick(this.places()));
    else if (what === 'kill other') this.killOther(world.pick(this.participants));
    else {
      const node = this.nodes.length > 0 ? world.pick(this.nodes) : undefined;
      if (node === undefined) return;
      world.say('world', `${what} ${node.process.name}`);
      if (what === 'kill') node.process.kill();
      else this.throwOut(node);
    }
  }

  private crash(db: SimulatedDatabase): void {
    const { world } = this;
    world.say('world', `crash ${db.parts.name}`);
    db.crash();
    world.time.after(world.between(50, 3000), () => db.restart());
  }

  private places(): readonly FailpointName[] {
    return [...PLACES, ...(this.units.length > 0 ? PLACES_OF_TRIES : []), ...(this.trips.length > 0 ? PLACES_OF_TRIPS : [])];
  }

  private killAt(place: FailpointName): void {
    const { world } = this;
    const atHit = world.between(1, isRarelyPassed(place) ? 2 : 6);
    armFailpoint(
      place,
      () => {
        const process = currentProcess();
        world.say('world', `kill ${process?.name ?? 'nobody'} at ${place}`);
        this.killed(process);
      },
      { atHit },
    );
  }

  private killOther(participant: Participant): void {
    const { world } = this;
    const receiver = participant.receivers.length > 0 ? world.pick(participant.receivers) : undefined;
    if (receiver === undefined) return;
    world.say('world', `kill ${receiver.process.name}`);
    this.killed(receiver.process);
  }

  private killed(process: SimulatedProcess | undefined): void {
    if (process === undefined || !process.isAlive) return;
    const participant = this.participants.find(({ receivers }) => receivers.some((one) => one.process === process));
    process.kill();
    if (participant !== undefined) this.world.time.after(this.world.between(100, 5000), () => participant.start());
  }

  /** What it has called tries for is anybody's from now on. */
  private takeOut({ name }: SimulatedProcess): void {
    const { db } = this;
    db.table('node').delete(name);
    for (const row of this.branches)
      if (row.worker === name && row.dueMs !== undefined)
        db.table<BranchRow>(BRANCHES).set(row.id, { ...row, dueMs: Math.min(row.dueMs, db.nowMs) });
  }

  /** The others take a process for dead, end its sessions and take what it had; it lives on, and joins again. */
  private throwOut({ process }: BankNode): void {
    const { world, db } = this;
    this.takeOut(process);
    db.disconnect(process);
    world.time.after(world.between(500, 4000), () => {
      if (process.isAlive) db.table('node').set(process.name, {});
    });
  }
}
