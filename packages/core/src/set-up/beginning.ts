import type { BoundedSink } from '../delivery/bounded-sink.js';
import type { Transports } from './transports.js';

/** Lets the deliveries of subscriptions begin: with the start, or those that a framework keeps back when it says so. */
export class Beginning {
  /** Those that are to begin with the start, and since then have begun, by the number of their row: the retries of others wait, too. */
  readonly begun = new Map<number, BoundedSink>();
  private held: readonly BoundedSink[] = [];
  private waiting: readonly BoundedSink[] = [];
  private transports: Transports | undefined;

  /** Says which there are. `heldNames`: those that are kept back. */
  divide(sinks: readonly BoundedSink[], heldNames: ReadonlySet<string>): void {
    const isHeld = ({ subscription }: BoundedSink) => heldNames.has(subscription.spec.name);
    this.held = sinks.filter(isHeld);
    this.add(sinks.filter((sink) => !isHeld(sink)));
  }

  /** Begins with those that are not kept back. */
  async begin(transports: Transports): Promise<void> {
    this.transports = transports;
    const sinks = this.waiting;
    this.waiting = [];
    for (const sink of sinks) {
      const { transport, spec, isOnlyStored } = sink.subscription;
      if (!isOnlyStored) await transports.of(transport).subscribe(spec, sink);
    }
  }

  /** Begins with the others; before `begin` it does nothing. `retries`: lets what is stored of them be looked at. */
  async release(retries: () => void): Promise<void> {
    if (this.transports === undefined || this.held.length === 0) return;
    this.add(this.held);
    this.held = [];
    retries();
    await this.begin(this.transports);
  }

  private add(sinks: readonly BoundedSink[]): void {
    this.waiting = [...this.waiting, ...sinks];
    for (const sink of sinks) this.begun.set(sink.subscription.spec.id as number, sink);
  }
}
