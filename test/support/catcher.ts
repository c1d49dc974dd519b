import { type Envelope, envelopeFrom, type HandOver, type Incoming, type Intake, type Sink, type SubscriptionSpec } from '@holdfast/core';

/** A sink that can be paused. */
export abstract class PausableSink implements Sink {
  isPaused = false;
  private readonly watchers = new Set<() => void>();

  abstract handle(intake: Intake): Promise<HandOver>;

  onPause(changed: () => void): () => void {
    this.watchers.add(changed);
    return () => void this.watchers.delete(changed);
  }

  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
    for (const changed of this.watchers) changed();
  }
}

/** A sink that notes what it is given; each hand-over runs `work` before it is acknowledged. */
export class Catcher extends PausableSink {
  readonly caught: Incoming[] = [];
  work: (message: Incoming) => Promise<unknown> = async () => undefined;
  inWork = 0;
  mostInWork = 0;

  constructor(private readonly limit: number) {
    super();
  }

  async handle(intake: Intake): Promise<HandOver> {
    const { messages, hasMore } = await intake.take(undefined as never, this.limit);
    this.inWork += 1;
    this.mostInWork = Math.max(this.mostInWork, this.inWork);
    this.caught.push(...messages);
    for (const message of messages) await this.work(message);
    await intake.settle(messages, 'ack');
    this.inWork -= 1;
    return hasMore ? 'worked' : 'idle';
  }

  get texts(): string[] {
    return this.caught.map(textOf);
  }
}

export function textOf({ body }: Incoming): string {
  return Buffer.from(body).toString();
}

export function specOf(name: string, also: Partial<SubscriptionSpec> = {}): SubscriptionSpec {
  return { name, types: ['scene.happened'], from: 'now', ordering: 'none', concurrency: 4, batchSize: 1, id: 1, ...also };
}

export function envelopeOf(text: string, also: Partial<Envelope> = {}): Envelope {
  const id = also.id ?? text;
  return {
    id,
    source: 'scene',
    type: 'scene.happened',
    version: 1,
    time: new Date(),
    headers: {},
    correlationId: id,
    kind: 'event',
    contentType: 'application/json',
    body: Buffer.from(text),
    ...also,
  };
}

/** What the engine reads of a message. */
export function readBack({ attributes, body }: Incoming): Envelope {
  return envelopeFrom(attributes, body);
}

/** Time in which something that must not happen would have happened. */
export function quiet(ms = 300): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
