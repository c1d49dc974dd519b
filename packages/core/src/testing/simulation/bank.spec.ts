import type { SagaProgress } from '../../saga/saga-progress.js';
import { SagaRegister } from '../../saga/saga-register.js';
import { armFailpoint, disarmFailpoints, type FailpointName } from '../failpoints.js';
import { openAccounts } from './accounts.spec.js';
import { BankNode, SERVICE } from './bank-node.spec.js';
import { SimulatedBroker, type Wire } from './broker.spec.js';
import { OUTBOX, type SimulatedDatabase } from './database.spec.js';
import { Participant } from './participant.spec.js';
import { currentProcess, type SimulatedProcess } from './process.spec.js';
import { ACCOUNTS, type DrawnSaga, drawSaga, SERVICES } from './random-sagas.spec.js';
import type { HistoryRow, SagaRow } from './saga-rows.spec.js';
import { Troubles } from './troubles.spec.js';
import type { World } from './world.spec.js';

/** How long the claims of a process outlive it. */
const DEATH_SEEN_MS = 6000;
const PLACES: readonly FailpointName[] = [
  'saga:after-claim',
  'saga:after-lock',
  'saga:after-call',
  'saga:after-step',
  'saga:before-record',
  'unit:before-outbox',
  'unit:after-outbox',
  'unit:before-commit',
  'unit:after-commit',
];

/** A bank that moves money between its own accounts and those of three other services, its processes, its clients, its operators, and what befalls them. */
export class Bank {
  readonly db: SimulatedDatabase;
  readonly broker: SimulatedBroker;
  readonly participants: readonly Participant[];
  readonly drawn = new Map<string, DrawnSaga>();
  /** Ids of the sagas that clients want, with their definition. */
  readonly wanted = new Map<string, DrawnSaga>();
  nodes: BankNode[] = [];
  /** No further process is started. */
  isOver = false;
  private readonly register = new SagaRegister((text) => {
    throw new Error(text);
  });
  private readonly troubles: Troubles;
  private readonly approved = new Set<string>();
  private startedNodes = 0;
  private unstarted = 0;

  constructor(private readonly world: World) {
    const { register } = this;
    this.broker = new SimulatedBroker(world);
    this.troubles = new Troubles(world);
    this.db = world.database('bank-db', (table, row) => {
      if (table === OUTBOX) this.broker.publish(row as Wire);
      if (table === `${SERVICE}.history`) this.tell(row as HistoryRow);
    });
    this.broker.serve(SERVICE, () => this.nodes);
    openAccounts(this.db, ACCOUNTS);
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

  /** What has not come to its end. */
  get open(): readonly string[] {
    const sagas = this.rows.filter(({ endedMs }) => endedMs === undefined).map(({ id, progress }) => `${id}: ${progress}`);
    const rest = [
      this.unstarted > 0 ? `${this.unstarted} not started` : '',
      this.broker.pending > 0 ? `${this.broker.pending} messages` : '',
    ];
    return [...sagas, ...rest.filter((text) => text !== '')];
  }

  /** Processes that have nothing to do, and more timers than that of their next look: what sleeps is a row, and nothing in a process. */
  idleTimers(): readonly string[] {
    if (this.db.open.size > 0 || this.broker.inHand > 0) return [];
    const idle = this.nodes.filter(({ runner, process }) => !runner.isBusy && this.db.tripsOf(process) === 0).map(({ process }) => process);
    return idle.filter(({ timerCount }) => timerCount > 1).map(({ name, timerCount }) => `${name} is idle and has ${timerCount} timers`);
  }

  /** Looks at what is parked, and lets it go on. */
  operator(): void {
    const { world } = this;
    const node = this.nodes.length > 0 ? world.pick(this.nodes) : undefined;
    if (node === undefined) return;
    if (world.isCalm) for (const participant of this.participants) participant.redrive();
    const said = { by: 'ann', reason: 'she has looked at it' };
    const act = (what: 'resume' | 'retry' | 'cancel', id: string) => {
      world.say('operator', `${what} ${id}`);
      void node.process
        .run(() => node.sagas[what](id, said))
        .catch((error: Error) => world.say('operator', `${what} ${id}: ${error.message}`));
    };
    for (const { id, progress, endedMs } of this.rows) {
      const { status } = JSON.parse(progress) as SagaProgress;
      if (status === 'parked' && (world.isCalm || world.chance(0.5))) act(world.pick(['resume', 'retry']), id);
      else if (endedMs === undefined && world.chance(0.04)) act('cancel', id);
    }
  }

  private tell({ saga, step, event, detail }: HistoryRow): void {
    this.world.say(saga, `${step === undefined ? '' : `${step} `}${event}${detail === undefined ? '' : ` (${detail})`}`);
  }

  private here(): BankNode {
    const process = currentProcess();
    const found = this.everyNode.get(process as SimulatedProcess);
    if (found === undefined) throw new Error('a step runs in no process of the bank');
    return found;
  }

  private readonly everyNode = new Map<SimulatedProcess, BankNode>();

  private startNode(): void {
    const { world, db, register, troubles } = this;
    if (this.isOver) return;
    this.startedNodes += 1;
    const process = world.process(`bank-${this.startedNodes}`);
    const node = process.run(() => new BankNode(process, { world, db, register, troubles, wanted: (key) => this.approve(key) }));
    this.everyNode.set(process, node);
    this.nodes.push(node);
    db.table('node').set(process.name, {});
    process.onDeath(() => {
      this.nodes = this.nodes.filter((one) => one !== node);
      db.disconnect(process);
      world.time.after(DEATH_SEEN_MS, () => db.table('node').delete(process.name));
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
    else if (what === 'place') this.killAt(world.pick(PLACES));
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

  private killAt(place: FailpointName): void {
    const { world } = this;
    const atHit = world.between(1, 6);
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

  /** The others take a process for dead, end its sessions and take what it had; it lives on, and joins again. */
  private throwOut({ process }: BankNode): void {
    const { world, db } = this;
    db.table('node').delete(process.name);
    db.disconnect(process);
    world.time.after(world.between(500, 4000), () => {
      if (process.isAlive) db.table('node').set(process.name, {});
    });
  }
}
