import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import type { Scheduler } from '../time/scheduler.js';
import type { Store } from '../store/store.port.js';
import { Loop, type LoopParts } from './loop.js';

/** Time between two ticks of a duty that is not said to be rarer. */
const TICK_MS = 1000;
/** How long after the start the ticks of each duty begin: apart, so that an idle process needs one connection for all of them. */
const FIRST_MS = { nodes: 500, deaths: 550, holes: 600, sequences: 700, scheduled: 800, halfMessages: 900 };
/** A sequence falls behind only when the database was switched or restored, and writers of this process would notice at once. */
const SEQUENCES_EVERY_MS = 5000;
/** Scheduled rows moved at a time: a move is a writer in many lanes, so live traffic must get its turn. */
const SCHEDULED_BATCH = 500;
/** Trimming need not be often. */
const TRIM_EVERY_MS = 30_000;
const INBOX_TRIM_BATCH = 5000;
/** Whoever waits takes a reply at once: what lies longer is for a process that is gone. */
const REPLY_KEPT_MS = 600_000;
const REPLY_TRIM_BATCH = 1000;
const RECEIPTS_TRIM_BATCH = 1000;
const DECISIONS_TRIM_BATCH = 5000;
/** A start under the id of a saga that ended is recognised for so long. */
const SAGAS_KEPT_MS = 30 * 86_400_000;
const SAGAS_TRIM_BATCH = 1000;
/** Whoever repeats or undoes a step in another DataSource asks within moments; a saga that is parked there may take a person as long. */
const STEP_GUARDS_KEPT_MS = 90 * 86_400_000;
const STEP_GUARDS_TRIM_BATCH = 1000;
const CHOREOGRAPHY_TRIM_BATCH = 1000;
const BRANCHES_TRIM_BATCH = 1000;
/** A process whose heartbeat is older is dead or frozen. */
const SILENT_MS = 6000;
/** What keeps a process from speaking may keep the others, too: they may be silent for so many times the longest pause of its own of late. */
const TIMES_OWN_PAUSE = 3;
/** But not for longer: what a frozen process holds is missed. */
export const MOST_SILENT_MS = 15_000;
const OF_LATE_MS = 30_000;
/** A longer pause is an outage, such as a database that was away: from then on others are given the time to speak again. */
const OUTAGE_MS = 10_000;

/** What the house-keeper works with. */
export interface HousekeeperContext {
  readonly store: Store;
  readonly service: string;
  readonly nodeId: string;
  readonly retentionMs: number;
  readonly undoRetentionMs: number;
  /** DataSources besides the store's in which steps of sagas run. */
  readonly stepDataSources: () => readonly string[];
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  /** Rows were moved into these lanes of the log. */
  readonly moved: (lanes: readonly number[]) => void;
  /** Asks what became of units with half messages; true when there may be more. */
  readonly checkBack: () => Promise<boolean>;
}

/** Says that this process lives, and looks after what is of all of them: silent processes, holes, sequences, scheduled rows, half messages, what is old. */
export class Housekeeper {
  private readonly loops: readonly Loop[];
  private readonly scheduled: Loop;
  private readonly nodes: readonly Loop[];
  /** How long this process has been heard without an outage, by the database's clock. */
  private heardMs = 0;
  /** Its longest pause of late, and when that was, in what it has been heard. */
  private longest = { pauseMs: 0, atMs: 0 };

  constructor(private readonly context: HousekeeperContext) {
    const loop = (what: string, polls: Pick<LoopParts, 'pollMs' | 'firstPollMs'>, work: LoopParts['work']) =>
      new Loop({
        scheduler: context.scheduler,
        ...polls,
        work,
        failed: (error) => {
          emit('poll:failed', () => ({ loop: what, error, delayMs: polls.pollMs }));
          context.logger.warn(`${what} failed; it is tried again`, { error });
        },
      });
    const everySecondAfter = (firstPollMs: number) => ({ pollMs: TICK_MS, firstPollMs });
    // A look at others may have to wait for what they hold, and this process must be heard meanwhile.
    this.nodes = [
      loop('saying that this process lives', everySecondAfter(FIRST_MS.nodes), () => this.beat()),
      loop('looking after nodes', everySecondAfter(FIRST_MS.deaths), () => this.reap()),
    ];
    this.scheduled = loop('moving scheduled messages', everySecondAfter(FIRST_MS.scheduled), () => this.moveScheduled());
    this.loops = [
      loop('looking after holes', everySecondAfter(FIRST_MS.holes), () => this.fence()),
      loop('looking after sequences', { pollMs: SEQUENCES_EVERY_MS, firstPollMs: FIRST_MS.sequences }, () => this.raiseSequences()),
      this.scheduled,
      loop('asking about half messages', everySecondAfter(FIRST_MS.halfMessages), () => context.checkBack()),
      loop('trimming', { pollMs: TRIM_EVERY_MS }, () => this.trim()),
    ];
  }

  /** Begins to say that this process lives: before anything is read, so that what others died of is known. */
  async join(): Promise<void> {
    await this.context.store.nodes.join(this.context.nodeId, SILENT_MS);
    for (const loop of this.nodes) loop.start();
  }

  start(): void {
    for (const loop of this.loops) loop.start();
  }

  /** True while scheduled messages are being moved; the other duties move nothing that anybody waits for. */
  get isMoving(): boolean {
    return this.scheduled.isBusy;
  }

  /** A message was scheduled. */
  nudge(): void {
    this.scheduled.nudge();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.nodes, ...this.loops].map((loop) => loop.stop()));
  }

  private async beat(): Promise<boolean> {
    const { store, nodeId, logger } = this.context;
    const pauseMs = await store.nodes.heartbeat(nodeId);
    if (pauseMs === undefined) logger.warn('this process was silent for so long that others took over its work; it goes on');
    if (pauseMs === undefined || pauseMs > OUTAGE_MS) {
      this.heardMs = 0;
      this.longest = { pauseMs: 0, atMs: 0 };
    } else {
      this.heardMs += pauseMs;
      const { longest } = this;
      if (pauseMs >= longest.pauseMs || this.heardMs - longest.atMs > OF_LATE_MS) this.longest = { pauseMs, atMs: this.heardMs };
    }
    return false;
  }

  /** Others are given the time to speak that this process had. */
  private async reap(): Promise<boolean> {
    const { store, nodeId, logger } = this.context;
    const silentMs = Math.min(MOST_SILENT_MS, Math.max(SILENT_MS, TIMES_OWN_PAUSE * this.longest.pauseMs));
    if (this.heardMs < silentMs) return false;
    for (const dead of await store.nodes.reap(nodeId, silentMs)) {
      emit('node:found-dead', () => ({ service: this.context.service, node: dead, silentMs }));
      logger.warn('a process stopped without saying so; its work is taken over', { node: dead });
    }
    return false;
  }

  private async fence(): Promise<boolean> {
    await this.context.store.upkeep.fence();
    return false;
  }

  private async raiseSequences(): Promise<boolean> {
    const { store, logger } = this.context;
    const raised = await store.upkeep.raiseSequences();
    for (const { lane, from, to } of raised) {
      emit('lane:sequence-raised', { lane, from, to });
      logger.error('the sequence of a lane stood behind what was already read and was raised; was the database switched or restored?', {
        lane,
        from,
        to,
      });
    }
    return false;
  }

  private async moveScheduled(): Promise<boolean | number> {
    const { moved, lanes, nextDueMs } = await this.context.store.upkeep.moveScheduled(SCHEDULED_BATCH);
    if (lanes.length > 0) this.context.moved(lanes);
    return moved === SCHEDULED_BATCH ? true : (nextDueMs ?? false);
  }

  private async trim(): Promise<boolean> {
    const rows = await this.context.store.upkeep.trim(this.context.retentionMs);
    const remembered = await this.context.store.inbox.trim(INBOX_TRIM_BATCH);
    const replies = await this.context.store.replies.trim(REPLY_KEPT_MS, REPLY_TRIM_BATCH);
    const receipts = await this.context.store.receipts.trim(RECEIPTS_TRIM_BATCH);
    const decisions = await this.context.store.halfMessages.trim(this.context.retentionMs, DECISIONS_TRIM_BATCH);
    const sagas = await this.context.store.sagas.operations.trim(SAGAS_KEPT_MS, SAGAS_TRIM_BATCH);
    const undoable = await this.context.store.choreography.trim(this.context.undoRetentionMs, CHOREOGRAPHY_TRIM_BATCH);
    const branches = await this.context.store.branches.operations.trim(this.context.retentionMs, BRANCHES_TRIM_BATCH);
    const guards = await this.context.store.stepGuards.trim(this.context.stepDataSources(), STEP_GUARDS_KEPT_MS, STEP_GUARDS_TRIM_BATCH);
    const isMore =
      guards === STEP_GUARDS_TRIM_BATCH ||
      undoable === CHOREOGRAPHY_TRIM_BATCH ||
      branches === BRANCHES_TRIM_BATCH ||
      sagas === SAGAS_TRIM_BATCH ||
      decisions === DECISIONS_TRIM_BATCH ||
      receipts === RECEIPTS_TRIM_BATCH;
    return isMore || rows > 0 || remembered === INBOX_TRIM_BATCH || replies === REPLY_TRIM_BATCH;
  }
}
