import type { SimulatedProcess } from './process.spec.js';
import type { World } from './world.spec.js';

/** A message on its way. */
export interface Wire {
  /** The service that gets it. */
  readonly to: string;
  readonly id: string;
  readonly type: string;
  readonly body: unknown;
  readonly sagaId?: string | undefined;
  readonly causationId?: string | undefined;
  readonly compensates?: string | undefined;
  readonly hasRun?: boolean | undefined;
  readonly key?: string | undefined;
}

/** One process of a service that takes messages. */
export interface Receiver {
  readonly process: SimulatedProcess;
  /** @param attempt from 1; one more after a failure */
  handle(wire: Wire, attempt: number): Promise<void>;
}

/** Brings what was committed to some process of its service, at least once: late, repeated, out of order. */
export class SimulatedBroker {
  /** Copies that have not arrived. */
  pending = 0;
  /** Copies that are being handled. */
  inHand = 0;
  /** Not seen until everything else is over. */
  private astray: Wire[] = [];
  private readonly services = new Map<string, () => readonly Receiver[]>();

  constructor(private readonly world: World) {}

  serve(service: string, receivers: () => readonly Receiver[]): void {
    this.services.set(service, receivers);
  }

  publish(wire: Wire): void {
    const { world } = this;
    // A signal has a key, and nobody sends it again.
    if (wire.key === undefined && world.chance(world.weather.longDelays / 3)) this.astray.push(wire);
    else this.send(wire, this.delayMs(), 1);
    while (world.chance(world.weather.repeats)) this.send(wire, this.delayMs() + world.between(0, 3000), 1);
  }

  /** A copy, later. */
  send(wire: Wire, delayMs: number, attempt: number): void {
    this.pending += 1;
    this.world.time.after(Math.max(1, delayMs), () => this.deliver(wire, attempt));
  }

  /** Everything that went astray comes after all, however late. */
  find(): void {
    for (const wire of this.astray) {
      this.world.say('broker', `${wire.type} ${wire.id} comes when all is over`);
      this.send(wire, this.world.between(1, 1000), 1);
    }
    this.astray = [];
  }

  private delayMs(): number {
    const { world } = this;
    return world.chance(world.weather.longDelays) ? world.between(500, 12_000) : world.between(1, 40);
  }

  private deliver(wire: Wire, attempt: number): void {
    const { world } = this;
    this.pending -= 1;
    const receivers =
      this.services
        .get(wire.to)?.()
        .filter(({ process }) => process.isAlive) ?? [];
    if (receivers.length === 0 || world.chance(world.weather.drops)) {
      this.send(wire, world.between(200, 4000), attempt);
      return;
    }
    const receiver = world.pick(receivers);
    this.pending += 1;
    this.inHand += 1;
    let isOver = false;
    const over = (again: number | undefined) => {
      if (isOver) return;
      isOver = true;
      this.pending -= 1;
      this.inHand -= 1;
      if (again !== undefined) this.send(wire, world.between(20, 500), again);
    };
    receiver.process.onDeath(() => over(attempt));
    // A lost acknowledgement is a repeat.
    receiver.process
      .run(() => receiver.handle(wire, attempt))
      .then(
        () => over(world.chance(world.weather.repeats / 3) ? attempt : undefined),
        () => over(attempt + 1),
      );
  }
}
