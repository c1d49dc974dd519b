import type { Pipeline } from '../delivery/pipeline.js';
import type { Transports } from './transports.js';

/** Lets the deliveries of subscriptions begin: with the start, or those that a framework keeps back when it says so. */
export class Beginning {
  /** Those that are to begin with the start, and since then have begun, by the number of their row: the retries of others wait, too. */
  readonly begun = new Map<number, Pipeline>();
  private held: readonly Pipeline[] = [];
  private waiting: readonly Pipeline[] = [];
  private transports: Transports | undefined;

  /** Says which there are. `heldNames`: those that are kept back. */
  divide(pipelines: readonly Pipeline[], heldNames: ReadonlySet<string>): void {
    const isHeld = ({ subscription }: Pipeline) => heldNames.has(subscription.spec.name);
    this.held = pipelines.filter(isHeld);
    this.add(pipelines.filter((pipeline) => !isHeld(pipeline)));
  }

  /** Begins with those that are not kept back. */
  async begin(transports: Transports): Promise<void> {
    this.transports = transports;
    const pipelines = this.waiting;
    this.waiting = [];
    for (const pipeline of pipelines) {
      const { transport, spec, isOnlyStored } = pipeline.subscription;
      if (!isOnlyStored) await transports.of(transport).subscribe(spec, pipeline);
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

  private add(pipelines: readonly Pipeline[]): void {
    this.waiting = [...this.waiting, ...pipelines];
    for (const pipeline of pipelines) this.begun.set(pipeline.subscription.spec.id as number, pipeline);
  }
}
