import { InProcessPipeline } from '../delivery/in-process-pipeline.js';
import { LeasePipeline } from '../delivery/lease-pipeline.js';
import { Permits, shareOf } from '../delivery/permits.js';
import { type Handling, Pipeline } from '../delivery/pipeline.js';
import type { PipelineContext } from '../delivery/pipeline-context.js';
import { RetryRunner } from '../delivery/retry-runner.js';
import type { Subscription } from '../delivery/subscription.js';
import { buildSubscription, type UnregisteredSubscription } from '../delivery/subscription-builder.js';
import { UnitPipeline } from '../delivery/unit-pipeline.js';
import { hfError } from '../errors/catalogue.js';
import { WorkInHand } from '../delivery/work-in-hand.js';
import { dampedLogger } from '../monitoring/damped-logger.js';
import { emit } from '../monitoring/events.js';
import { Housekeeper } from '../outbox/housekeeper.js';
import { Loop } from '../outbox/loop.js';
import { Relay } from '../outbox/relay.js';
import type { Store } from '../store/store.port.js';
import { rootRequests } from '../unit-of-work/request-roots.js';
import type { Timer } from '../time/scheduler.js';
import type { Transport } from '../transport/transport.port.js';
import type { Assembly } from './assembly.js';

/** Between two looks whether an operator has paused a subscription. */
const PAUSE_LOOK_MS = 1000;
/** Between two looks at the log where other processes cannot wake this one. */
const UNHEARD_LOOK_MS = 50;
/** Between the looks of `settled`, and how many in a row must find nothing. */
const SETTLE_LOOK_MS = 5;
const SETTLE_LOOKS = 3;
/** Delivered messages that died because stopping could not wait get this long to be returned. */
const RETURN_MS = 2000;
/** Longest wait for what runs in the background, and for each of the last statements of a process. */
const LET_GO_MS = 1000;

/** A started bus: everything that runs, in the order in which it starts and, backwards, stops. */
export class Node {
  private readonly inHand = new WorkInHand();
  private pipelines: readonly Pipeline[] = [];
  private relay: Relay | undefined;
  private housekeeper: Housekeeper | undefined;
  private retries: RetryRunner | undefined;
  private readonly watches: Loop[] = [];
  private leaveRequests: (() => void) | undefined;
  private isOpen = false;
  private isStopped = false;
  private draining: Promise<void> | undefined;

  constructor(private readonly assembly: Assembly) {}

  /** The store takes part in the ORM, so that units of work may begin; nothing is delivered yet. */
  async open(): Promise<void> {
    const { store, gate, scopes, settings } = this.assembly;
    if (this.isOpen) return;
    this.isOpen = true;
    await this.openStore(store);
    if (store !== undefined && settings.outsideTransaction !== 'allow') this.leaveRequests = rootRequests(scopes);
    gate.open();
  }

  async start(): Promise<void> {
    const { assembly } = this;
    const { store, settings, runtime } = assembly;
    const built = this.build();
    assembly.assertNoProblems();
    await this.open();
    const transport = assembly.transport as Transport;
    const subscriptions = await this.register(store, built);
    this.pipelines = this.pipelinesOf(subscriptions);
    await transport.start({ subscriptions: subscriptions.map(({ spec }) => spec) });
    if (store !== undefined) await this.startStoreLoops(store, transport);
    for (const pipeline of this.pipelines) await transport.subscribe(pipeline.subscription.spec, pipeline);
    emit('node:started', { service: settings.service, node: assembly.nodeId });
    runtime.logger.info('started', {
      service: settings.service,
      store: store?.description ?? 'none: retries stay in this process, dead letters are logged',
      transport: settings.transport?.transport,
      subscriptions: subscriptions.map(({ spec }) => spec.name).join(', ') || 'none',
    });
  }

  /** Rows were committed here: whoever reads them is told. */
  committed(lanes: readonly number[], hasScheduled: boolean): void {
    if (lanes.length > 0) this.assembly.store?.wakeups.notify(lanes);
    if (this.isStopped) return;
    if (lanes.length > 0) {
      this.assembly.transport?.nudge(lanes);
      this.relay?.nudge();
    }
    if (hasScheduled) this.housekeeper?.nudge();
  }

  /** An operator changed a row that the loops look at. */
  changed(): void {
    this.retries?.nudge();
    for (const watch of this.watches) watch.nudge();
    this.assembly.transport?.nudge([]);
  }

  /** Intake stops; what is in hand is finished, or after the time-out given back. Units of work go on: callers may still need them. */
  drain(timeoutMs: number): Promise<void> {
    this.draining ??= this.drainOnce(timeoutMs);
    return this.draining;
  }

  private async drainOnce(timeoutMs: number): Promise<void> {
    const { store, transport, settings, runtime, nodeId } = this.assembly;
    // First of all, while everything still works: whoever sends requests here needs a moment to look elsewhere.
    emit('node:stopping', { service: settings.service, node: nodeId, timeoutMs });
    let returned = 0;
    const deadline = runtime.scheduler.after(timeoutMs, () => {
      returned = this.pipelines.reduce((sum, { inFlight }) => sum + inFlight, 0);
      this.inHand.giveUp();
    });
    await this.within(timeoutMs + RETURN_MS, 'the intake', Promise.all([transport?.close(timeoutMs + RETURN_MS), this.retries?.stop()]));
    deadline.cancel();
    this.isStopped = true;
    const loops = [this.relay, this.housekeeper, ...this.watches].map((loop) => loop?.stop());
    await this.within(LET_GO_MS, 'what runs in the background', Promise.all(loops));
    store?.wakeups.stopListening();
    await this.within(LET_GO_MS, 'the row of this process', store?.nodes.leave(nodeId));
    emit('node:stopped', { service: settings.service, node: nodeId, returned });
  }

  /** Waits for a part to end, but not for ever: a database that does not answer must not keep a process that was told to stop. */
  private async within(ms: number, what: string, work: Promise<unknown> | undefined): Promise<void> {
    const { scheduler, logger } = this.assembly.runtime;
    let timer: Timer | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = scheduler.after(ms, () => resolve('late'), { keepsProcessAlive: true });
    });
    try {
      if ((await Promise.race([work, late])) === 'late')
        logger.warn('a part did not end in time; the stop goes on without it', { part: what, ms });
    } catch (error) {
      logger.warn('a part did not stop in good order', { part: what, error });
    } finally {
      timer?.cancel();
    }
  }

  /** Drains, waits for open units, and lets go of the ORM. A unit that does not end in time keeps its protection: it must not lose its transaction half-way. */
  async stop(timeoutMs: number): Promise<void> {
    await this.drain(timeoutMs);
    this.leaveRequests?.();
    const { store, gate, runtime } = this.assembly;
    if (store === undefined) return;
    await Promise.race([gate.close(), runtime.scheduler.sleep(timeoutMs)]);
    if (gate.count === 0) await store.close();
    else runtime.logger.warn('units of work have not ended in time; they go on, and nothing new begins', { count: gate.count });
  }

  async settled(timeoutMs: number): Promise<void> {
    const untilMs = performance.now() + timeoutMs;
    for (let quiet = 0; quiet < SETTLE_LOOKS; ) {
      const busy = this.busy();
      quiet = busy.length === 0 ? quiet + 1 : 0;
      if (performance.now() > untilMs) throw hfError('HF_TEST_NOT_SETTLED', { timeoutMs, inFlight: busy });
      await new Promise((resolve) => setTimeout(resolve, SETTLE_LOOK_MS));
    }
  }

  private busy(): string[] {
    const inFlight = this.pipelines.filter((pipeline) => pipeline.inFlight > 0).map(({ subscription }) => subscription.spec.name);
    const loops = [
      this.relay?.isBusy ? ['the relay'] : [],
      this.retries?.isBusy ? ['stored deliveries'] : [],
      this.housekeeper?.isMoving ? ['scheduled messages'] : [],
      this.assembly.transport?.isBusy ? ['the transport'] : [],
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
    await store.ready();
    this.housekeeper = this.housekeeperOf(store);
    await this.housekeeper.join();
  }

  /** Checks all handlers; what is wrong with them goes to the assembly's problems. */
  private build(): readonly UnregisteredSubscription[] {
    const { assembly } = this;
    const { settings, store } = assembly;
    if (settings.transport === undefined) return [];
    const context = {
      capabilities: settings.transport.capabilities,
      transport: settings.transport.transport,
      hasStore: store !== undefined,
      maxConcurrency: store?.maxConcurrency,
      limits: settings.limits,
      defaults: settings.defaults,
      problem: (text: string) => assembly.problem(text),
    };
    const names = new Map<string, number>();
    for (const { policies } of assembly.registrations) names.set(policies.name, (names.get(policies.name) ?? 0) + 1);
    for (const [name, count] of names)
      if (count > 1) assembly.problem(`the subscription name ${JSON.stringify(name)} is used by ${count} handlers; give each its own`);
    return assembly.registrations.flatMap((registration) => buildSubscription(context, registration) ?? []);
  }

  private async register(store: Store | undefined, built: readonly UnregisteredSubscription[]): Promise<readonly Subscription[]> {
    const { assembly } = this;
    if (store === undefined) return built.map((subscription) => ({ ...subscription, spec: { ...subscription.spec, id: undefined } }));
    const methods = [...assembly.guarded].filter(([, guarded]) => guarded.isIdempotent);
    const rows = await store.subscriptions.register(assembly.nodeId, [
      ...built.map(({ spec, formerly }) => ({ name: spec.name, types: spec.types, formerly, ordering: spec.ordering, isHandler: true })),
      ...methods.map(([name]) => ({ name, types: [], formerly: [], ordering: 'none' as const, isHandler: false })),
    ]);
    const ids = new Map(rows.map(({ name, id }) => [name, id]));
    for (const [name, guarded] of methods) guarded.scopeId = ids.get(name);
    const subscriptions = built.map((subscription) => ({
      ...subscription,
      spec: { ...subscription.spec, id: ids.get(subscription.spec.name) },
    }));
    if (assembly.settings.transport?.capabilities.readsLog) {
      for (const { spec } of subscriptions) await store.cursors.create(spec.id as number, spec.from);
    }
    return subscriptions;
  }

  private pipelinesOf(subscriptions: readonly Subscription[]): readonly Pipeline[] {
    const { store, units, runtime } = this.assembly;
    const { clock, random, scheduler } = runtime;
    const logger = dampedLogger(runtime.logger, clock);
    const call = { clock, random, scheduler, logger, inHand: this.inHand };
    const handling = (subscription: Subscription): Handling => {
      if (store === undefined || units === undefined) return new InProcessPipeline(call, subscription);
      const context: PipelineContext = {
        ...call,
        store,
        runUnit: (options, work) => units.runFramework(options, work),
        onStored: () => this.retries?.nudge(),
      };
      if (subscription.unit !== undefined) return new UnitPipeline(context, subscription);
      const pipeline = new LeasePipeline(context, subscription);
      return { handle: (intake) => units.runInRoot(() => pipeline.handle(intake)) };
    };
    const total = store?.maxConcurrency ?? Number.POSITIVE_INFINITY;
    // A handler outside any transaction holds no connection while it works.
    const [connections, unbounded] = [new Permits(total), new Permits(Number.POSITIVE_INFINITY)];
    const sharing = subscriptions.filter(({ unit }) => unit !== undefined).length;
    return subscriptions.map((given) => {
      const isSharing = given.unit !== undefined;
      const permits = isSharing ? connections : unbounded;
      const concurrency = isSharing ? shareOf(total, given.spec.concurrency, sharing) : given.spec.concurrency;
      const subscription = { ...given, spec: { ...given.spec, concurrency } };
      const unexpected = (error: unknown) =>
        logger.error('a delivery ended unexpectedly; the message stays where it is', { subscription: subscription.spec.name, error });
      return new Pipeline(subscription, handling(subscription), { permits, scheduler, unexpected });
    });
  }

  private housekeeperOf(store: Store): Housekeeper {
    const { settings, runtime, nodeId, transport } = this.assembly;
    const { scheduler, logger } = runtime;
    const moved = () => {
      transport?.nudge([]);
      this.relay?.nudge();
    };
    return new Housekeeper({ store, service: settings.service, nodeId, retentionMs: settings.retentionMs, scheduler, logger, moved });
  }

  private async startStoreLoops(store: Store, transport: Transport): Promise<void> {
    const { assembly } = this;
    const { settings, runtime } = assembly;
    const { scheduler, logger } = runtime;
    const byId = new Map(this.pipelines.map((pipeline) => [pipeline.subscription.spec.id as number, pipeline]));
    this.retries = new RetryRunner(store.deliveries, byId, { scheduler, logger });
    if (!transport.capabilities.readsLog && settings.relay) {
      this.relay = new Relay({ store: store.relay, transport, scheduler, logger, limits: settings.limits });
      this.relay.start();
    }
    this.retries.start();
    this.housekeeper?.start();
    if (!transport.capabilities.readsLog) this.watch(PAUSE_LOOK_MS, () => this.lookForPauses(store));
    const isHeard = await store.wakeups.listen((lanes) => {
      transport.nudge(lanes);
      this.relay?.nudge();
    });
    if (!isHeard) this.watch(UNHEARD_LOOK_MS, async () => transport.nudge([]));
  }

  /** The log's readers see a pause in the statement that takes; what a transport hands over is held back here. */
  private async lookForPauses(store: Store): Promise<void> {
    const paused = await store.subscriptions.paused();
    for (const pipeline of this.pipelines) pipeline.isPaused = paused.has(pipeline.subscription.spec.name);
  }

  private watch(pollMs: number, look: () => Promise<void>): void {
    const { scheduler, logger } = this.assembly.runtime;
    const failed = (error: unknown) => logger.warn('a look into the store failed; it is repeated', { error });
    const work = async () => {
      await look();
      return false;
    };
    const loop = new Loop({ scheduler, pollMs, work, failed });
    this.watches.push(loop);
    loop.start();
  }
}
