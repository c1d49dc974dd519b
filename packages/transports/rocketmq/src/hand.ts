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

  /** @param askedMs when it was asked for them, on the monotonic clock: their time has run since then at the latest */
  add(messages: readonly ReceivedMessage[], consumer: CurrentConsumer, askedMs: number): readonly HeldReceived[] {
    return messages.map((message) => {
      this.count += 1;
      const held = new HeldReceived(message, this, { consumer, order: this.count, untilMs: askedMs + this.parts.invisibleMs });
      this.held.add(held);
      this.lineOf(held).waiting.push(held);
      return held;
    });
  }

  /** One that nobody here wants is done. */
  pass(held: HeldReceived): void {
    this.remove(held);
    held.settle('ack');
  }

  /** The next ones, of lines that nobody works on; undefined: there are none. `done` says that they are worked on no more. */
  take(limit: number): { readonly messages: readonly HeldReceived[]; readonly done: () => void } | undefined {
    const messages: HeldReceived[] = [];
    const lines: Line[] = [];
    for (const [name, line] of this.lines) {
      if (messages.length === limit) break;
      if (line.isInWork || line.waiting.length === 0) continue;
      line.isInWork = true;
      lines.push(line);
      messages.push(...line.waiting.splice(0, limit - messages.length));
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

  /** It is in hand no more. */
  drop(held: HeldReceived): void {
    if (!this.held.delete(held)) return;
    this.tidy();
    this.parts.changed();
  }

  /** Somebody else has it, or may have it: it comes again. Where order is kept, what is behind it does too, also if it is in work together with it. */
  lose(held: HeldReceived): void {
    const isBehind = (each: HeldReceived) => each.place.order > held.place.order && this.nameOf(each) === this.nameOf(held);
    const lost = this.parts.isOrdered ? [...this.held].filter(isBehind) : [];
    for (const each of [held, ...lost]) {
      this.remove(each);
      each.forget();
      this.drop(each);
    }
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
      for (const held of [...this.held]) this.look(held);
      this.watch();
    });
  }

  private look(held: HeldReceived): void {
    const leftMs = held.place.untilMs - this.parts.clock.monotonicMs();
    if (leftMs <= 0) this.lose(held);
    else if (held.isOurs && leftMs < this.parts.invisibleMs * (1 - KEEP_AFTER)) void held.keep();
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
  /** One request at a time: each gives it another handle. */
  private asking: Promise<void> = Promise.resolve();

  constructor(
    readonly message: ReceivedMessage,
    private readonly hand: Hand,
    readonly place: HeldPlace,
  ) {
    this.incoming = fromMessage(message);
  }

  get isOurs(): boolean {
    return this.isOpen && this.leftMs > 0;
  }

  get isSuspect(): boolean {
    return this.message.attempt > 1;
  }

  settle(outcome: 'ack' | 'requeue'): void {
    if (!this.isOurs) {
      // Its time is over, and nobody has looked yet: what is behind it must not be handled before it comes again.
      if (this.isOpen) this.hand.lose(this);
      return;
    }
    if (outcome === 'requeue') {
      this.hand.putBack(this);
      return;
    }
    this.isOpen = false;
    this.settled = this.until((consumer) => consumer.ack(this.message));
  }

  async putAway(reason: DeadLetterReason): Promise<void> {
    if (!this.isOurs) return;
    await this.hand.parts.putDeadLetter(this.message, reason);
    this.settle('ack');
  }

  /** Nobody else gets it for another while. */
  keep(): Promise<void> {
    const { clock, invisibleMs } = this.hand.parts;
    return this.ask(async (consumer) => {
      const askedMs = clock.monotonicMs();
      await consumer.keep(this.message, invisibleMs);
      this.place.untilMs = askedMs + invisibleMs;
    }).catch((error: unknown) => {
      if (isHandleOver(error)) this.hand.lose(this);
    });
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

  private get leftMs(): number {
    return this.place.untilMs - this.hand.parts.clock.monotonicMs();
  }

  /** Tries as long as nobody else gets it; then it comes again. */
  private async until(request: (consumer: RocketmqConsumer) => Promise<void>): Promise<void> {
    while (this.leftMs > 0 && !this.hand.isClosed) {
      try {
        await this.ask(request);
        break;
      } catch (error) {
        if (isHandleOver(error)) break;
        await this.hand.parts.scheduler.sleep(AGAIN_MS, undefined, { keepsProcessAlive: true });
      }
    }
    this.hand.drop(this);
  }

  private ask(request: (consumer: RocketmqConsumer) => Promise<void>): Promise<void> {
    const asked = this.asking.then(async () => {
      const consumer = this.place.consumer();
      if (consumer === undefined) throw new Error('there is no connection');
      await request(consumer);
    });
    this.asking = asked.catch(() => undefined);
    return asked;
  }
}
