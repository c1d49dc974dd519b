import type { BoundedSink } from '../delivery/bounded-sink.js';
import { Permits } from '../delivery/permits.js';
import { RetryRunner } from '../delivery/retry-runner.js';
import type { Subscription } from '../delivery/subscription.js';
import type { UnregisteredSubscription } from '../delivery/subscription-builder.js';
import { hfError } from '../errors/catalogue.js';
import { WorkInHand } from '../delivery/work-in-hand.js';
import { emit } from '../monitoring/events.js';
import { Housekeeper } from '../outbox/housekeeper.js';
import { Loop } from '../outbox/loop.js';
import type { Health } from '../monitoring/health.js';
import { checkHealth, type HealthParts } from './health-check.js';
import type { Written } from '../bus/outbox-outlet.js';
import { StoredReplies } from '../reply/stored-replies.js';
import type { SagaRunner } from '../saga/saga-runner.js';
import type { Hint, Store } from '../store/store.port.js';
import { failpoint } from '../testing/failpoints.js';
import { rootRequests } from '../unit-of-work/request-roots.js';
import { DEFAULT_TRANSPORT } from '../transport/transport-name.js';
import type { ReceivedReply } from '../reply/received-reply.js';
import type { Assembly } from './assembly.js';
import { assertNotMoved, haveLanes, tellStranded } from './lanes-of-transports.js';
import { Relays } from './relaying.js';
import { type NamedTransport, registeredTypes, type Transports } from './transports.js';
import { sinksOf } from './sinks.js';
import { branchRunnerOf, tellUnservedBranches } from './branches-of-process.js';
import { haveStepGuards, sagaRunnerOf, stepDataSources, tellUnserved } from './sagas-of-process.js';
import { Beginning } from './beginning.js';
import { linkSteps } from '../participant/linked-steps.js';
import { subscriptionsOf } from './subscriptions.js';
import { inTime } from './in-time.js';

/** Between two looks whether an operator has paused a subscription. */
const PAUSE_LOOK_MS = 1000;
/** Between two looks at the log as long as other processes cannot wake this one. */
const UNHEARD_LOOK_MS = 50;
/** Between the looks of `settled`, and how many in a row must find nothing. */
const SETTLE_LOOK_MS = 5;
const SETTLE_LOOKS = 3;
/** Delivered messages that died because stopping could not wait get this long to be returned. */
const RETURN_MS = 2000;
/** Longest wait for what runs in the background, and for each of the last statements of a process. */
const LET_GO_MS = 1000;

/** What the start-up line says where there is no store. */
function withoutStore({ all }: Transports): string {
  const isPersistent = all.every(({ transport }) => transport.capabilities.persistent);
  const deadLetters = isPersistent ? "dead letters are the broker's" : 'dead letters are logged';
  return `none: publishing waits for the ${isPersistent ? 'broker' : 'transport'}, retries stay in this process, ${deadLetters}`;
}

/** A started bus: everything that runs, in the order in which it starts and, backwards, stops. */
export class Node {
  private readonly inHand = new WorkInHand();
  private built: readonly UnregisteredSubscription[] = [];
  private sinks: readonly BoundedSink[] = [];
  private readonly beginning = new Beginning();
  private readonly relays: Relays;
  private housekeeper: Housekeeper | undefined;
  private retries: RetryRunner | undefined;
  private storedReplies: StoredReplies | undefined;
  private sagas: SagaRunner | undefined;
  private readonly watches: Loop[] = [];
  private leaveRequests: (() => void) | undefined;
  private phase: HealthParts['phase'] = 'starting';
  private opened: Promise<void> | undefined;
  private isStopped = false;
  private draining: Promise<void> | undefined;
  private closing: Promise<void> | undefined;

  constructor(private readonly assembly: Assembly) {
    this.relays = new Relays(assembly);
  }

  /** Options and handlers, as far as they are known by now; nothing is touched. @throws HF_CONFIG_INVALID with all that is wrong */
  check(): void {
    const { assembly } = this;
    if (assembly.store !== undefined && assembly.store.maxConcurrency < 1)
      assembly.problem(
        "the store's pool has no connection left for handlers: one listens for other processes and one keeps house; raise the pool's size, to 4 or more",
      );
    this.built = subscriptionsOf(this.assembly);
    assembly.assertNoProblems();
  }

  /** The store takes part in the ORM, so that units of work may begin; nothing is delivered yet. */
  open(): Promise<void> {
    this.opened ??= this.openOnce();
    return this.opened;
  }

  private async openOnce(): Promise<void> {
    const { store, gate, scopes, settings } = this.assembly;
    await this.openStore(store);
    if (store !== undefined && settings.outsideTransaction !== 'allow') this.leaveRequests = rootRequests(scopes);
    gate.open();
  }

  /** After `check`. */
  async start(): Promise<void> {
    const { assembly, built } = this;
    const { store, settings, runtime } = assembly;
    await this.open();
    const { transports } = assembly;
    const subscriptions = await this.register(store, built);
    const connections = new Permits(store?.maxConcurrency ?? Number.POSITIVE_INFINITY);
    this.sagas = sagaRunnerOf(assembly, { inHand: this.inHand, connections, sharing: subscriptions.length });
    assembly.branchRunner = branchRunnerOf(assembly, { inHand: this.inHand, connections, sharing: subscriptions.length });
    const parts = { assembly, inHand: this.inHand, connections, sharing: this.sagas === undefined ? 0 : 1 };
    this.sinks = sinksOf({ ...parts, onStored: () => this.retries?.nudge() }, subscriptions);
    this.assertNotStopping();
    const { requests } = assembly;
    const receive = (reply: ReceivedReply) => requests.receive(reply);
    const openReplies = ({ name, transport }: NamedTransport) => requests.start(name, (moved) => transport.openReplies(receive, moved));
    const [main, ...further] = transports.all as [NamedTransport, ...NamedTransport[]];
    if (store !== undefined && assembly.crossing !== undefined)
      assembly.crossing.switched = async () => {
        openReplies(main);
        await this.startRelay(store, main);
      };
    await transports.start(subscriptions);
    this.assertNotStopping();
    await store?.carrier.announce(assembly.nodeId, main.kind);
    requests.start(main.name, (moved) => this.storedReplies?.open(receive) ?? main.transport.openReplies(receive, moved));
    for (const each of further) openReplies(each);
    this.beginning.divide(this.sinks, assembly.held);
    if (store !== undefined) await this.startStoreLoops(store);
    await this.beginning.begin(transports);
    this.phase = 'running';
    emit('node:started', { service: settings.service, node: assembly.nodeId });
    runtime.logger.info('started', {
      service: settings.service,
      store: store?.description ?? withoutStore(transports),
      transport: transports.description,
      subscriptions: subscriptions.map(({ spec }) => spec.name).join(', ') || 'none',
    });
    // Let go of while this was starting.
    if (assembly.held.size === 0) await this.release();
  }

  /** A stop that came in the midst of the start has ended what there was by then; nothing may begin behind it. @throws HF_STOPPING */
  private assertNotStopping(): void {
    if (this.draining !== undefined) throw hfError('HF_STOPPING', { activity: 'the start' });
  }

  /** The deliveries that were kept back begin; before the start is done, it is `start` that sees to it. */
  async release(): Promise<void> {
    if (this.draining === undefined) await this.beginning.release(() => this.retries?.start());
  }

  /** Rows were committed here: whoever reads them is told. */
  committed(written: Written): void {
    const { lanes, hasScheduled, hasReplies } = written;
    if (lanes.length > 0 || hasReplies) this.assembly.store?.wakeups.notify(written);
    if (this.isStopped) return;
    this.hear(written);
    if (hasScheduled) this.housekeeper?.nudge();
  }

  /** Something was committed, here or elsewhere. */
  private hear({ lanes, hasReplies }: Hint): void {
    if (hasReplies) this.storedReplies?.nudge();
    if (lanes?.length === 0) return;
    this.assembly.transports.nudge(lanes ?? []);
    this.relays.nudge(lanes);
  }

  /** An operator changed a row that the loops look at. */
  changed(): void {
    this.retries?.nudge();
    this.relays.resume();
    for (const watch of this.watches) watch.nudge();
    this.assembly.transports.nudge([]);
  }

  health(terms: Pick<HealthParts, 'timeoutMs' | 'maxLagMs'>): Promise<Health> {
    const { store, transports, runtime } = this.assembly;
    const failing = this.sinks.filter(({ isHoldingBack }) => isHoldingBack).map(({ subscription }) => subscription.spec.name);
    return checkHealth({ ...terms, phase: this.phase, store, transports, failing, scheduler: runtime.scheduler });
  }

  /**
   * Intake stops; what is in hand is finished, or after the time-out given back. Callers may still need the rest: units of work go on, and without a store
   * publishing over the transports.
   */
  drain(timeoutMs: number): Promise<void> {
    this.draining ??= this.drainOnce(timeoutMs);
    return this.draining;
  }

  private async drainOnce(timeoutMs: number): Promise<void> {
    const { store, transports, requests, settings, runtime, nodeId } = this.assembly;
    // First of all, while everything still works: whoever sends requests here needs a moment to look elsewhere.
    this.phase = 'stopping';
    emit('node:stopping', { service: settings.service, node: nodeId, timeoutMs });
    for (const sink of this.sinks) sink.isStopping = true;
    const sent = this.assembly.halfMessages?.stop();
    const endMs = runtime.clock.monotonicMs() + timeoutMs + RETURN_MS;
    let returned = 0;
    const deadline = runtime.scheduler.after(timeoutMs, () => {
      returned = this.sinks.reduce((sum, { inFlight }) => sum + inFlight, 0);
      this.inHand.giveUp();
    });
    await this.within(
      timeoutMs + RETURN_MS,
      'the intake',
      Promise.all([transports.drain(timeoutMs + RETURN_MS), this.retries?.stop(), this.sagas?.stop(), this.assembly.branchRunner?.stop()]),
    );
    deadline.cancel();
    // Handlers in hand may have waited for replies; from now on none comes.
    requests.stop();
    if (store !== undefined) await this.closeTransports(Math.max(LET_GO_MS, endMs - runtime.clock.monotonicMs()));
    this.isStopped = true;
    const loops = [this.relays, this.housekeeper, this.storedReplies, ...this.watches].map((loop) => loop?.stop());
    await this.within(LET_GO_MS, 'what runs in the background', Promise.all([...loops, sent]));
    await this.within(LET_GO_MS, 'its lanes', this.relays.leave());
    store?.wakeups.stopListening();
    // Whoever was refused before has no row, and may not even have the table.
    if (this.housekeeper !== undefined) await this.within(LET_GO_MS, 'the row of this process', store?.nodes.leave(nodeId));
    emit('node:stopped', { service: settings.service, node: nodeId, returned });
  }

  /** Handlers in hand may have published to any of them. */
  private closeTransports(ms: number): Promise<void> {
    this.closing ??= this.within(ms, 'the transports', this.assembly.transports.close(ms));
    return this.closing;
  }

  private within(ms: number, part: string, work: Promise<unknown> | undefined): Promise<void> {
    return inTime(this.assembly.runtime, { ms, part, work });
  }

  /** Drains, waits for open units, and lets go of the ORM; without a store, of the transports. A unit that does not end in time keeps its protection: it must not lose its transaction half-way. */
  async stop(timeoutMs: number): Promise<void> {
    await this.drain(timeoutMs);
    this.leaveRequests?.();
    const { store, gate, runtime } = this.assembly;
    if (store === undefined) return this.closeTransports(timeoutMs + RETURN_MS);
    await Promise.race([gate.close(), runtime.scheduler.sleep(timeoutMs)]);
    // Of units that committed meanwhile.
    await this.within(LET_GO_MS, 'half messages', this.assembly.halfMessages?.stop());
    if (gate.count === 0) await store.close();
    else runtime.logger.warn('units of work have not ended in time; they go on, and nothing new begins', { count: gate.count });
  }

  async settled(timeoutMs: number): Promise<void> {
    // tidy: ambient-time: bounds a test by real time, whatever its clock was set to
    const untilMs = performance.now() + timeoutMs;
    for (let quiet = 0; quiet < SETTLE_LOOKS; ) {
      const busy = this.busy();
      quiet = busy.length === 0 ? quiet + 1 : 0;
      // tidy: ambient-time: the same bound by real time
      if (performance.now() > untilMs) throw hfError('HF_TEST_NOT_SETTLED', { timeoutMs, inFlight: busy });
      // tidy: ambient-time: work that runs takes real time, also while the test's stands still
      await new Promise((resolve) => setTimeout(resolve, SETTLE_LOOK_MS));
    }
  }

  private busy(): string[] {
    const inFlight = this.sinks.filter((sink) => sink.inFlight > 0).map(({ subscription }) => subscription.spec.name);
    const loops = [
      this.relays.busy,
      this.assembly.halfMessages?.isBusy ? ['half messages'] : [],
      this.retries?.isBusy ? ['stored deliveries'] : [],
      this.sagas?.isBusy ? ['sagas'] : [],
      this.assembly.branchRunner?.isBusy ? ['branches of tries'] : [],
      this.housekeeper?.isMoving ? ['scheduled messages'] : [],
      this.assembly.transports.isBusy ? ['the transport'] : [],
      this.assembly.requests.isSending ? ['requests that are sent'] : [],
      this.storedReplies?.isBusy ? ['replies'] : [],
    ];
    return [...inFlight, ...loops.flat()];
  }

  private async openStore(store: Store | undefined): Promise<void> {
    if (store === undefined) return;
    const { settings } = this.assembly;
    await store.open();
    const { found, wanted } = await store.schema.status();
    if (found > wanted) throw hfError('HF_SCHEMA_AHEAD', { found, needed: wanted });
    if (found < wanted && !settings.migrate) throw hfError('HF_SCHEMA_BEHIND', { found, needed: wanted });
    if (found < wanted) await store.schema.migrate();
    await haveLanes(store, settings);
    await store.ready();
    this.housekeeper = this.housekeeperOf(store);
    await this.housekeeper.join();
  }

  private async register(store: Store | undefined, built: readonly UnregisteredSubscription[]): Promise<readonly Subscription[]> {
    const { assembly } = this;
    if (store === undefined) return built.map((subscription) => ({ ...subscription, spec: { ...subscription.spec, id: undefined } }));
    const methods = [...assembly.guarded].filter(([, guarded]) => guarded.isIdempotent);
    const rows = await store.subscriptions.register(assembly.nodeId, [
      ...built.map(({ spec, transport, formerly, isOnlyStored }) => {
        const types = isOnlyStored ? [] : registeredTypes({ spec, transport });
        return { name: spec.name, types, formerly, ordering: spec.ordering, isHandler: true };
      }),
      ...methods.map(([name]) => ({ name, types: [], formerly: [], ordering: 'none' as const, isHandler: false })),
    ]);
    const ids = new Map(rows.map(({ name, id }) => [name, id]));
    for (const [name, guarded] of methods) guarded.scopeId = ids.get(name);
    const numbered = built.map((each) => ({
      ...each,
      undo: each.undo && { ...each.undo, id: ids.get(each.undo.name) },
      spec: { ...each.spec, id: ids.get(each.spec.name) },
    }));
    const subscriptions = linkSteps(numbered);
    const served = subscriptions.filter(({ isOnlyStored }) => !isOnlyStored);
    await assertNotMoved(store, served);
    const ofDefault = served.filter(({ transport }) => transport === DEFAULT_TRANSPORT);
    if (await this.isLogRead(store, ofDefault)) {
      for (const { spec } of ofDefault) {
        failpoint('subscription:before-cursors');
        await store.cursors.create(spec.id as number, spec.from);
      }
    }
    return subscriptions;
  }

  /** Whether the subscriptions of the default transport in this process get their messages from the log, at first or for good. */
  private async isLogRead({ carrier }: Store, subscriptions: readonly Subscription[]): Promise<boolean> {
    const { settings, crossing } = this.assembly;
    const subscriptionIds = subscriptions.map(({ spec }) => spec.id as number);
    if (settings.transport?.capabilities.readsLog) return (await carrier.settle({ readsLog: true, subscriptionIds })) === 'log';
    await crossing?.settle(subscriptionIds);
    return crossing?.isWaiting ?? false;
  }

  private housekeeperOf(store: Store): Housekeeper {
    const { settings, runtime, nodeId, halfMessages } = this.assembly;
    const { scheduler, logger } = runtime;
    const checkBack = async () => (await halfMessages?.checkBack()) ?? false;
    const moved = (lanes: readonly number[]) => this.committed({ lanes, hasScheduled: false, hasReplies: false });
    const { service, retentionMs, undoRetentionMs } = settings;
    const kept = { retentionMs, undoRetentionMs, stepDataSources: () => stepDataSources(this.assembly.sagaRegister) };
    return new Housekeeper({ store, service, nodeId, ...kept, scheduler, logger, moved, checkBack });
  }

  private async startStoreLoops(store: Store): Promise<void> {
    const { assembly } = this;
    const { scheduler, logger } = assembly.runtime;
    await haveStepGuards(store, assembly);
    await Promise.all([tellUnserved(store, assembly), tellUnservedBranches(store, assembly)]);
    this.retries = new RetryRunner(store.deliveries, this.beginning.begun, { scheduler, logger });
    const { all, further } = assembly.transports;
    const [main] = all as [NamedTransport];
    const isSending = !main.transport.capabilities.readsLog && !assembly.crossing?.isWaiting;
    for (const each of isSending ? all : further) await this.startRelay(store, each);
    await tellStranded(store, assembly);
    this.assertNotStopping();
    this.retries.start();
    assembly.sagaRunner = this.sagas;
    this.sagas?.start();
    assembly.branchRunner?.start();
    if (!isSending) this.storedReplies = new StoredReplies({ store: store.replies, nodeId: assembly.nodeId, scheduler, logger });
    this.housekeeper?.start();
    if (all.some(({ transport }) => !transport.capabilities.readsLog)) {
      // Before anything is taken: what was paused is still paused.
      await this.lookForPauses(store);
      this.watch(PAUSE_LOOK_MS, () => this.lookForPauses(store));
    }
    let looking: Loop | undefined;
    const isHeard = await store.wakeups.listen((hint) => {
      // What tells something can be relied on from now on.
      void looking?.stop();
      this.hear(hint);
    });
    if (!isHeard) looking = this.watch(UNHEARD_LOOK_MS, async () => this.hear({ lanes: undefined, hasReplies: true }));
  }

  private async startRelay(store: Store, transport: NamedTransport): Promise<void> {
    if (this.draining !== undefined) return;
    await this.relays.start(store, transport);
    if (this.assembly.settings.relay) this.assembly.halfMessages?.sendOver(transport.name, transport.transport);
  }

  /** The log's readers see a pause in the statement that takes; what a transport hands over is held back here. */
  private async lookForPauses(store: Store): Promise<void> {
    const paused = await store.subscriptions.paused();
    const isPaused = ({ subscription }: BoundedSink) => paused.has(subscription.spec.name);
    const isResumed = this.sinks.some((sink) => sink.isPaused && !isPaused(sink));
    for (const sink of this.sinks) sink.isPaused = isPaused(sink);
    // Their stored deliveries were held back until now.
    if (isResumed) this.retries?.nudge();
  }

  private watch(pollMs: number, look: () => Promise<void>): Loop {
    const { scheduler, logger } = this.assembly.runtime;
    const failed = (error: unknown) => logger.warn('a look into the store failed; it is repeated', { error });
    const work = async () => {
      await look();
      return false;
    };
    const loop = new Loop({ scheduler, pollMs, work, failed });
    this.watches.push(loop);
    loop.start();
    return loop;
  }
}
