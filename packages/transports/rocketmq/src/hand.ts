import type { Clock, DeadLetterReason, HeldMessage, Incoming, Scheduler, Timer } from '@holdfast/core';
import type { ReceivedMessage, RocketmqConsumer } from './client.port.js';
import { isHandleOver } from './refusal.js';
import { fromMessage } from './wire.js';

/** What is given back is there for others after this time, the shortest that any proxy takes. */
const GIVEN_BACK_MS = 1000;
/** Parts of its time after which a message is kept for another one. */
const KEEP_AFTER = 1 / 3;
/** Between two looks at what has to be kept. */
const LOOK_AFTER = 1 / 6;
/** Before what could not be settled is tried again. */
const AGAIN_MS = 300;

/** What a hand works with. */
export interface HandParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** Messages of one group are handled one after another, and when one is lost those behind it come again too. */
  readonly isOrdered: boolean;
  readonly invisibleMs: number;
  /** Rejects when it is not known to be there. */
  readonly putDeadLetter: (message: ReceivedMessage, reason: DeadLetterReason) => Promise<void>;
  /** There is more to be handled, or room for more. */
  readonly changed: () => void;
}

/** The consumer that is open now, for a topic. */
export type CurrentConsumer = () => RocketmqConsumer | undefined;

/** Messages that belong together: of one group where order is kept, else one alone. */
interface Line {
  readonly waiting: HeldReceived[];
  isInWork: boolean;
}

/**
 * What was received and is not settled. The broker gives it to nobody else for a time, which is prolonged while it is here. What it says of settling is
 * waited for: until then a message counts as in hand.
 */
export class Hand {
  private readonly held = new Set<HeldReceived>();
  private readonly lines = new Map<string, Line>();
  private timer: Timer | undefined;
  private count = 0;
  /** On the monotonic clock: until then nobody else gets any of them. */
  private allUntilMs = Number.POSITIVE_INFINITY;
  /** Nothing is waited for any more. */
  isClosed = false;

  constructor(readonly parts: HandParts) {
    this.watch();
  }

  /** Received, and not known to be settled. */
  get size(): number {
    return this.held.size;
  }

  get hasWaiting(): boolean {
    return [...this.lines.values()].some(({ waiting }) => waiting.length > 0);
  }

  /**
   * Keeps at once what has come so late that most of its time may be over.
   *
   * @param askedMs when it was asked for them, on the monotonic clock: their time has run since then at the latest
   */
  add(messages: readonly ReceivedMessage[], consumer: CurrentConsumer, askedMs: number): readonly HeldReceived[] {
    const untilMs = askedMs + this.parts.invisibleMs;
    this.allUntilMs = Math.min(this.allUntilMs, untilMs);
    return messages.map((message) => {
      this.count += 1;
      const held = new HeldReceived(message, this, { consumer, order: this.count, untilMs });
      this.held.add(held);
      this.lineOf(held).waiting.push(held);
      this.keepIfDue(held);
      return held;
    });
  }

  /** One that nobody here wants is done. */
  pass(held: HeldReceived): void {
    this.remove(held);
    held.settle('ack');
  }

  /** The next ones that are ours, of lines that nobody works on; undefined: there are none. `done` says that they are worked on no more. */
  take(limit: number): { readonly messages: readonly HeldReceived[]; readonly done: () => void } | undefined {
    const messages: HeldReceived[] = [];
    const lines: Line[] = [];
    for (const [name, line] of this.lines) {
      if (messages.length === limit) break;
      if (line.isInWork) continue;
      const notOurs = line.waiting.findIndex(({ isOurs }) => !isOurs);
      const count = notOurs === -1 ? line.waiting.length : notOurs;
      if (count === 0) continue;
      line.isInWork = true;
      lines.push(line);
      messages.push(...line.waiting.splice(0, Math.min(count, limit - messages.length)));
      // Each in its turn.
      this.lines.delete(name);
      this.lines.set(name, line);
    }
    if (messages.length === 0) return undefined;
    const done = () => {
      for (const line of lines) line.isInWork = false;
      this.tidy();
    };
    return { messages, done };
  }

  /** A message of a line that is worked on is given back: it comes before what follows it. */
  putBack(held: HeldReceived): void {
    const { waiting } = this.lineOf(held);
    const behind = waiting.findIndex(({ place }) => place.order > held.place.order);
    waiting.splice(behind === -1 ? waiting.length : behind, 0, held);
  }

  /** They are not in hand any more. */
  drop(...gone: readonly HeldReceived[]): void {
    for (const held of gone) this.held.delete(held);
    this.tidy();
    this.parts.changed();
  }

  /** Somebody else has it, or may have it: it comes again. Where order is kept, what is behind it does too, also if it is in work together with it. */
  lose(held: HeldReceived): void {
    if (!this.held.has(held)) return;
    const lost = [held, ...[...this.held].filter((each) => this.isBehind(each, held))];
    // All of them before anybody looks: none must be taken for the first one of its line.
    for (const each of lost) {
      this.remove(each);
      each.forget();
    }
    this.drop(...lost);
  }

  /** Its time has been prolonged, and some of that may be over already. */
  kept(held: HeldReceived): void {
    this.keepIfDue(held);
    this.parts.changed();
  }

  /** Where order is kept: whether something comes before it whose time is over, and which may come again. */
  isInDoubt(held: HeldReceived): boolean {
    if (!this.parts.isOrdered || this.parts.clock.monotonicMs() < this.allUntilMs) return false;
    return [...this.held].some((each) => each.isOver && this.isBehind(held, each));
  }

  /** Gives back what waits, and waits until what is settled is known to be. */
  async empty(): Promise<void> {
    const waiting = [...this.lines.values()].flatMap((line) => line.waiting.splice(0));
    await Promise.all(waiting.map((held) => held.release(GIVEN_BACK_MS)));
    await Promise.all([...this.held].map((held) => held.settled));
  }

  close(): void {
    this.isClosed = true;
    this.timer?.cancel();
  }

  private watch(): void {
    const { scheduler, invisibleMs } = this.parts;
    this.timer = scheduler.after(invisibleMs * LOOK_AFTER, () => {
      for (const held of [...this.held]) {
        // What was asked for may still be answered well, and then it was ours all the time.
        if (!held.isOver) this.keepIfDue(held);
        else if (!held.isAsking) this.lose(held);
      }
      this.allUntilMs = Math.min(...[...this.held].map(({ place }) => place.untilMs));
      this.watch();
    });
  }

  private keepIfDue(held: HeldReceived): void {
    if (held.leftMs < this.parts.invisibleMs * (1 - KEEP_AFTER)) held.keep();
  }

  private isBehind(one: HeldReceived, other: HeldReceived): boolean {
    return this.parts.isOrdered && one.place.order > other.place.order && this.nameOf(one) === this.nameOf(other);
  }

  private remove(held: HeldReceived): void {
    const waiting = this.lines.get(this.nameOf(held))?.waiting ?? [];
    const at = waiting.indexOf(held);
    if (at !== -1) waiting.splice(at, 1);
  }

  private lineOf(held: HeldReceived): Line {
    const name = this.nameOf(held);
    let line = this.lines.get(name);
    if (line === undefined) {
      line = { waiting: [], isInWork: false };
      this.lines.set(name, line);
    }
    return line;
  }

  private nameOf({ message, place }: HeldReceived): string {
    return this.parts.isOrdered ? `${message.topic}/${message.group ?? ''}` : String(place.order);
  }

  private tidy(): void {
    for (const [name, { waiting, isInWork }] of this.lines) if (waiting.length === 0 && !isInWork) this.lines.delete(name);
  }
}

/** Where a message is in the order in which they came, and how long it is ours. */
interface HeldPlace {
  readonly consumer: CurrentConsumer;
  readonly order: number;
  /** On the monotonic clock. */
  untilMs: number;
}

/** A message in hand. */
export class HeldReceived implements HeldMessage {
  readonly incoming: Incoming;
  /** Resolves when it is known to be settled, or is not ours any more. */
  settled: Promise<void> = Promise.resolve();
  private isOpen = true;
  private isKeeping = false;
  /** One request at a time: each gives it another handle. */
  private last: Promise<void> = Promise.resolve();
  private asked = 0;

  constructor(
    readonly message: ReceivedMessage,
    private readonly hand: Hand,
    readonly place: HeldPlace,
  ) {
    this.incoming = fromMessage(message);
  }

  get isOurs(): boolean {
    return this.isOpen && !this.isOver && !this.hand.isInDoubt(this);
  }

  /** Its time is over, unless the broker says otherwise. */
  get isOver(): boolean {
    return this.leftMs <= 0;
  }

  get leftMs(): number {
    return this.place.untilMs - this.hand.parts.clock.monotonicMs();
  }

  /** The broker has been asked something of it, and has not answered. */
  get isAsking(): boolean {
    return this.asked > 0;
  }

  get isSuspect(): boolean {
    return this.message.attempt > 1;
  }

  /** What is done is told to the broker also when its time is over: it may take it still, and then it does not come again. */
  settle(outcome: 'ack' | 'requeue'): void {
    if (!this.isOpen) return;
    if (outcome === 'ack') {
      this.isOpen = false;
      this.settled = this.acknowledge();
    } else if (this.isOver && !this.isAsking) this.hand.lose(this);
    else this.hand.putBack(this);
  }

  async putAway(reason: DeadLetterReason): Promise<void> {
    if (!this.isOurs) return;
    await this.hand.parts.putDeadLetter(this.message, reason);
    this.settle('ack');
  }

  /** Nobody else gets it for another while, if the broker is in time to hear of it. */
  keep(): void {
    if (!this.isOpen || this.isKeeping) return;
    this.isKeeping = true;
    const { clock, invisibleMs } = this.hand.parts;
    const kept = this.ask(async (consumer) => {
      const askedMs = clock.monotonicMs();
      await consumer.keep(this.message, invisibleMs);
      this.place.untilMs = askedMs + invisibleMs;
    });
    void kept
      .finally(() => {
        this.isKeeping = false;
      })
      .then(
        () => this.hand.kept(this),
        (error: unknown) => {
          if (isHandleOver(error)) this.hand.lose(this);
        },
      );
  }

  /** Others may have it. */
  async release(afterMs: number): Promise<void> {
    if (!this.isOpen) return;
    this.isOpen = false;
    await this.ask((consumer) => consumer.keep(this.message, afterMs)).catch(() => undefined);
    this.hand.drop(this);
  }

  /** It is not ours any more. */
  forget(): void {
    this.isOpen = false;
  }

  /** Tries as long as nobody else gets it, at least once; then it comes again. */
  private async acknowledge(): Promise<void> {
    do {
      try {
        await this.ask((consumer) => consumer.ack(this.message));
        // Late, somebody else may have had it for a moment, and with it what is behind it.
        if (this.isOver) break;
        this.hand.drop(this);
        return;
      } catch (error) {
        if (isHandleOver(error)) break;
        await this.hand.parts.scheduler.sleep(AGAIN_MS, undefined, { keepsProcessAlive: true });
      }
    } while (!this.isOver && !this.hand.isClosed);
    this.hand.lose(this);
  }

  private async ask(request: (consumer: RocketmqConsumer) => Promise<void>): Promise<void> {
    this.asked += 1;
    const asked = this.last.then(async () => {
      const consumer = this.place.consumer();
      if (consumer === undefined) throw new Error('there is no connection');
      await request(consumer);
    });
    this.last = asked.catch(() => undefined);
    try {
      await asked;
    } finally {
      this.asked -= 1;
    }
  }
}
