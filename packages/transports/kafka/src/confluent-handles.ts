import { type Timer, within } from '@holdfast/core';
import type { Place, Position } from './client.port.js';
import { calledOn, committed, type ConfluentParts, connected, disconnected, waited } from './confluent-connection.js';
import { called, named } from './confluent-errors.js';
import type { NativeConsumer, NativeError, NativePlace } from './confluent-library.js';
import { standingAt } from './standing.js';

/** Between two looks into handles: what librdkafka has to tell would gather there. */
const LOOK_MS = 1000;
/** The first wait for an answer, which holds one of Node's threads; the next ones are longer, and others have their turn in between. */
const FIRST_WAIT_MS = 500;
/** Between two waits. */
const AGAIN_MS = 50;
/** Of librdkafka: no answer in time, no connection, no coordinator yet. Of Kafka: no coordinator yet, a transaction is under way. */
const MAY_PASS = new Set([-185, -195, -180, 14, 15, 16]);
const UNSTABLE = 'UNSTABLE_OFFSET_COMMIT';
/** Kafka's number for a group that it does not know. */
const NO_GROUP = 69;

const LET_GO = 'the client was let go of';

/** Whether the place of a group is asked for as it is, or when transactions that move it have ended. */
type Isolation = 'read_uncommitted' | 'read_committed';

/**
 * Consumers of librdkafka that are no members of their groups, and read nothing: it is told by them for which group offsets in a transaction are, and asked where a group stands. An admin
 * must not be asked that: librdkafka 2.15.1 ends the process when the broker answers it that another one looks after the group.
 */
export class ConfluentHandles {
  /** Of groups whose offsets go into transactions. */
  private readonly kept = new Map<string, Promise<NativeConsumer>>();
  /** Whoever uses a handle may call it once more. */
  private readonly uses = new Set<Promise<unknown>>();
  private timer: Timer | undefined;
  private isDropped = false;
  /** Tell those who wait that they are let go of. */
  private readonly waiting = new Set<(error: Error) => void>();

  constructor(
    private readonly make: (group: string, isolation: Isolation) => NativeConsumer,
    private readonly parts: ConfluentParts,
  ) {}

  /** Does something with the handle of a group, which is kept. */
  async use<T>(group: string, work: (handle: NativeConsumer) => Promise<T>): Promise<T> {
    const handle = this.isDropped ? undefined : await this.handleOf(group);
    if (handle === undefined || this.isDropped) throw new Error(LET_GO);
    return this.inUse(work(handle));
  }

  /** @throws once they are let go of */
  assertKept(): void {
    if (this.isDropped) throw new Error(LET_GO);
  }

  /** Its answer, or the news that they are let go of, behind which it ends by itself. */
  untilDropped<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.waiting.add(reject);
      void answer.then(resolve, reject).finally(() => this.waiting.delete(reject));
    });
  }

  /** Where a group stands, whatever is under way. */
  async positions(group: string, places: readonly Place[]): Promise<readonly Position[]> {
    return places.length === 0 ? [] : this.once(group, (handle) => this.ask(handle, places));
  }

  /** Sets where a group stands. Rejects when it has members, from whom alone it takes that. */
  setPositions(group: string, positions: readonly Position[]): Promise<void> {
    return this.once(group, async (handle) => {
      handle.setDefaultConsumeTimeout(0);
      const commit = committed(handle, positions, this.parts);
      let isAnswered = false;
      const answered = commit
        .catch(() => undefined)
        .then(() => {
          isAnswered = true;
        });
      // What the broker says comes with a look, of which there is none into one that is let go of.
      while (!isAnswered && !this.isDropped) {
        await calledOn([handle], (done) => handle.consume(1, done)).catch(() => undefined);
        await Promise.race([answered, this.parts.scheduler.sleep(AGAIN_MS)]);
      }
      this.assertKept();
      await commit;
    });
  }

  /** Where it stands in one partition when no transaction is under way there any more. */
  async settledPosition(group: string, place: Place): Promise<Position | undefined> {
    const [position] = await this.use(group, (handle) => this.ask(handle, [place]));
    return position;
  }

  /** Lets go of all of them, as soon as they are not in use, and nothing is under way in them. Whoever waits for one that is for that alone, waits no more. */
  drop(): void {
    this.isDropped = true;
    for (const tell of this.waiting) tell(new Error(LET_GO));
    this.timer?.cancel();
    const unused = Promise.allSettled(this.uses);
    for (const handle of this.kept.values())
      void Promise.all([handle, unused])
        .then(([consumer]) => disconnected(consumer, this.parts))
        .catch(() => undefined);
    this.kept.clear();
  }

  /** With a handle for that alone. */
  private async once<T>(group: string, work: (handle: NativeConsumer) => Promise<T>): Promise<T> {
    this.assertKept();
    const handle = this.make(group, 'read_uncommitted');
    return this.untilDropped(this.workAlone(handle, work));
  }

  private async workAlone<T>(handle: NativeConsumer, work: (handle: NativeConsumer) => Promise<T>): Promise<T> {
    try {
      await connected(handle, this.parts);
      this.assertKept();
      return await work(handle);
    } finally {
      await disconnected(handle, this.parts);
    }
  }

  private async inUse<T>(use: Promise<T>): Promise<T> {
    this.uses.add(use);
    return use.finally(() => this.uses.delete(use));
  }

  private handleOf(group: string): Promise<NativeConsumer> {
    const known = this.kept.get(group) ?? this.open(group);
    this.kept.set(group, known);
    known.catch(() => this.kept.delete(group));
    return known;
  }

  private async open(group: string): Promise<NativeConsumer> {
    const handle = this.make(group, 'read_committed');
    handle.setDefaultConsumeTimeout(0);
    try {
      await connected(handle, this.parts);
    } catch (error) {
      // It may still connect, by another broker.
      void disconnected(handle, this.parts);
      throw error;
    }
    if (!this.isDropped) this.timer ??= this.nextLook();
    return handle;
  }

  private nextLook(): Timer {
    return this.parts.scheduler.after(LOOK_MS, () => {
      for (const group of this.kept.keys())
        void this.use(group, (handle) => called((done) => handle.consume(1, done))).catch(() => {
          // What fails is told to whoever uses it.
        });
      this.timer = this.nextLook();
    });
  }

  /** Until there is an answer, for about as long as a request may take. */
  private async ask(handle: NativeConsumer, places: readonly Place[]): Promise<readonly Position[]> {
    const { scheduler, clock, settings } = this.parts;
    const endMs = clock.monotonicMs() + settings.requestTimeoutMs;
    for (let waitMs = FIRST_WAIT_MS; ; waitMs *= 2) {
      try {
        return await this.askOnce(handle, places, Math.max(1, Math.min(waitMs, endMs - clock.monotonicMs())));
      } catch (error) {
        if ((error as Partial<NativeError>).code === NO_GROUP) return [];
        if (!mayPass(error) || this.isDropped || clock.monotonicMs() > endMs) throw error;
        await scheduler.sleep(AGAIN_MS);
      }
    }
  }

  private async askOnce(handle: NativeConsumer, places: readonly Place[], timeoutMs: number): Promise<readonly Position[]> {
    const { scheduler, settings } = this.parts;
    // It gives up by itself in time; that it does is not relied upon.
    const patience = { request: 'the place of a group', timeoutMs: timeoutMs + settings.requestTimeoutMs };
    const found = await waited(() =>
      within(
        scheduler,
        patience,
        calledOn<readonly (NativePlace | Error)[]>([handle], (done) => handle.committed(places, Math.ceil(timeoutMs), done)),
      ),
    );
    return found.flatMap((each) => positionIn(each) ?? []);
  }
}

function mayPass(error: unknown): boolean {
  const { code, type } = error as { readonly code?: number; readonly type?: string };
  return type === UNSTABLE || MAY_PASS.has(code ?? 0);
}

/** What librdkafka says of a single partition it says without its number. */
const TEXTS: readonly (readonly [RegExp, number])[] = [
  [/unstable offsets/i, 88],
  [/topic authorization failed/i, 29],
];

function positionIn(found: NativePlace | Error): Position | undefined {
  if (found instanceof Error) {
    const code = TEXTS.find(([text]) => text.test(found.message))?.[1];
    throw named(code === undefined ? found : Object.assign(found, { code }));
  }
  const { topic, partition, offset = -1, metadata } = found;
  const standing = standingAt(BigInt(offset));
  return standing === undefined ? undefined : { topic, partition, offset: standing, note: metadata || undefined };
}
