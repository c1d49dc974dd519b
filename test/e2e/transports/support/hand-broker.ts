import { addressOf, type Envelope, type PublishOutcome, type TransportCapabilities, type TransportFactory } from '@holdfast/core';

const CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: false,
  sharedSubscriptions: true,
  partitionedDelivery: true,
  fromEarliest: true,
  withoutStore: true,
  renamedSubscriptions: true,
  replies: true,
  addresses: true,
};

/** A broker by hand, for any number of processes: it keeps what it is given, delivers nothing, and is as ill as a test wants it. */
export class HandBroker {
  /** In the order in which it was confirmed. */
  readonly sent: Envelope[] = [];
  /** `frozen`: it answers nothing; `down`: nobody is connected; `full`: it takes nothing. */
  state: 'up' | 'frozen' | 'down' | 'full' = 'up';
  private waiting: (() => void)[] = [];

  constructor(
    readonly kind: string,
    private readonly also: Partial<TransportCapabilities> = {},
  ) {}

  /** What it has, as `address key`. */
  get log(): readonly string[] {
    return this.sent.map((envelope) => `${addressOf(envelope)} ${envelope.key ?? '-'}`);
  }

  /** Bodies of what it has at an address. */
  at(address: string): readonly unknown[] {
    return this.sent
      .filter((envelope) => addressOf(envelope) === address)
      .map(({ body }) => JSON.parse(Buffer.from(body).toString()) as unknown);
  }

  /** Answers again; what had no answer is lost, and nobody knows. */
  heal(): void {
    this.state = 'up';
    for (const go of this.waiting.splice(0)) go();
  }

  factory(): TransportFactory {
    const broker = this;
    const capabilities = { ...CAPABILITIES, ...this.also };
    return {
      transport: this.kind,
      capabilities,
      create: ({ nodeId }) => ({
        capabilities,
        isBusy: false,
        get health() {
          const status = { up: 'up', frozen: 'up', down: 'down', full: 'blocked' } as const;
          return { status: status[broker.state], problem: undefined };
        },
        start: async () => undefined,
        subscribe: async () => undefined,
        nudge: () => undefined,
        drain: async () => undefined,
        close: async () => undefined,
        openReplies: async () => `${broker.kind}/${nodeId}`,
        publish: (batch) => broker.take(batch),
      }),
    };
  }

  private async take(batch: readonly Envelope[]): Promise<readonly PublishOutcome[]> {
    if (this.state === 'frozen') {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
      return batch.map(() => 'unknown');
    }
    if (this.state !== 'up') return batch.map(() => 'unknown');
    this.sent.push(...batch);
    return batch.map(() => 'confirmed');
  }
}
