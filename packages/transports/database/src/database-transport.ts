import {
  type Duration,
  hfError,
  LOG_TRANSPORT,
  LogReader,
  type PublishOutcome,
  type Sink,
  type Store,
  type SubscriptionSpec,
  toMs,
  type Transport,
  type TransportCapabilities,
  type TransportContext,
  type TransportFactory,
} from '@holdfast/core';

/** What this transport keeps. */
export const DATABASE_CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: true,
  sharedSubscriptions: true,
  partitionedDelivery: true,
  fromEarliest: true,
  withoutStore: false,
  renamedSubscriptions: true,
  replies: true,
};

/** Longest wait between two looks at the lanes, unless the option says otherwise. */
const DEFAULT_POLL: Duration = '1s';
/** Options of `database`. */
export interface DatabaseOptions {
  /** Longest wait between two looks; default '1s'. Commits are told to other processes at once, so this is only for hints that got lost. */
  pollInterval?: Duration;
}

/**
 * No broker: the store's database carries the messages. A subscription reads the log itself, in the transaction of its handler, so place and
 * effect are one commit.
 *
 * **Guarantee:** as every transport, and one effect per row also without an inbox. **Not promised:** more handlers of one subscription at work
 * than the log has lanes.
 */
export function database(options: DatabaseOptions = {}): TransportFactory {
  const pollMs = toMs(options.pollInterval ?? DEFAULT_POLL, 'database({ pollInterval })');
  return {
    transport: LOG_TRANSPORT,
    capabilities: DATABASE_CAPABILITIES,
    create: (context) => {
      if (context.store === undefined)
        throw hfError('HF_CAPABILITY_UNSUPPORTED', {
          feature: 'the database transport',
          provider: 'a bus without a store; add store: typeorm()',
        });
      return new DatabaseTransport(context, context.store, pollMs);
    },
  };
}

/** Reads the log for all subscriptions of this process. */
class DatabaseTransport implements Transport {
  readonly capabilities = DATABASE_CAPABILITIES;
  /** The database is the store's to tell. */
  readonly health = { status: 'up', problem: undefined } as const;
  private readonly reader: LogReader;

  constructor({ nodeId, clock, scheduler, logger }: TransportContext, store: Store, pollMs: number) {
    this.reader = new LogReader({ store, nodeId, pollMs, clock, scheduler, logger });
  }

  get isBusy(): boolean {
    return this.reader.isBusy;
  }

  async start(): Promise<void> {
    // The store has everything there is.
  }

  /** The log is where messages already are. */
  async publish(): Promise<readonly PublishOutcome[]> {
    throw hfError('HF_CAPABILITY_UNSUPPORTED', { feature: 'publishing past the outbox', provider: 'the database transport' });
  }

  async subscribe(spec: SubscriptionSpec, sink: Sink): Promise<void> {
    this.reader.read(spec, sink);
  }

  /** Replies are rows of the store, which the engine takes. */
  async openReplies(): Promise<string> {
    throw hfError('HF_CAPABILITY_UNSUPPORTED', { feature: 'a place for replies past the store', provider: 'the database transport' });
  }

  nudge(lanes: readonly number[]): void {
    this.reader.nudge(lanes);
  }

  drain(timeoutMs: number): Promise<void> {
    return this.reader.close(timeoutMs);
  }

  async close(): Promise<void> {
    // Nothing is published here.
  }
}
