import type {
  Envelope,
  Incoming,
  Intake,
  Lease,
  PublishOutcome,
  Sink,
  SubscriptionSpec,
  Taken,
  Topology,
  Transport,
  TransportCapabilities,
  TransportFactory,
} from '@holdfast/core';
import { attributesOf } from '@holdfast/core';
import { Pool } from 'pg';

const CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: false,
  sharedSubscriptions: true,
  partitionedDelivery: false,
  fromEarliest: true,
  withoutStore: false,
};

interface SpoolRow {
  readonly n: string;
  readonly type: string;
  readonly attributes: string;
  readonly body: Buffer;
  readonly was_taken: boolean;
}

/** A broker for tests: it keeps what it has confirmed, whatever becomes of this process, and gives again what was not acknowledged. */
export function spool(url: string): TransportFactory {
  return { transport: 'spool', capabilities: CAPABILITIES, create: () => new SpoolTransport(new Pool({ connectionString: url, max: 4 })) };
}

class SpoolTransport implements Transport {
  readonly capabilities = CAPABILITIES;
  private specs: readonly SubscriptionSpec[] = [];
  private readonly tasks: Promise<void>[] = [];
  private isClosed = false;
  isBusy = false;

  constructor(private readonly pool: Pool) {
    pool.on('error', () => undefined);
  }

  async start({ subscriptions }: Topology): Promise<void> {
    this.specs = subscriptions;
  }

  async publish(batch: readonly Envelope[]): Promise<readonly PublishOutcome[]> {
    for (const envelope of batch) {
      const names = this.specs.filter(({ types }) => types.includes(envelope.type)).map(({ name }) => name);
      await this.pool.query('insert into spool (subscription, type, attributes, body) select s, $2, $3, $4 from unnest($1::text[]) s', [
        names,
        envelope.type,
        attributesOf(envelope),
        envelope.body,
      ]);
    }
    return batch.map(() => 'confirmed');
  }

  async subscribe(spec: SubscriptionSpec, sink: Sink): Promise<void> {
    this.tasks.push(this.consume(spec, sink));
  }

  nudge(): void {
    // It looks all the time.
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.all(this.tasks);
    await this.pool.end();
  }

  private async consume(spec: SubscriptionSpec, sink: Sink): Promise<void> {
    while (!this.isClosed) {
      const { rows } = await this.pool.query<SpoolRow>(
        `update spool s set was_taken = true from (select n, was_taken from spool where subscription = $1 order by n limit $2) f
         where s.n = f.n returning s.n, s.type, s.attributes, s.body, f.was_taken`,
        [spec.name, spec.concurrency],
      );
      await Promise.all(rows.map((row) => this.handOver(row, sink)));
      if (rows.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  private async handOver(row: SpoolRow, sink: Sink): Promise<void> {
    const intake = new SpoolIntake(this.pool, row);
    for (let outcome = 'worked'; outcome !== 'idle' && !this.isClosed && !intake.isSettled; ) outcome = await sink.handle(intake);
  }
}

/** One message in hand. */
class SpoolIntake implements Intake {
  isSettled = false;
  private readonly incoming: Incoming;

  constructor(
    private readonly pool: Pool,
    private readonly row: SpoolRow,
  ) {
    const { type, attributes, body, was_taken, n } = row;
    const rest = { lane: undefined, writtenAt: undefined, attempts: 0, hasConsent: false, deliveryId: undefined };
    this.incoming = { type, attributes, body, place: `spool/${n}`, isRedelivery: was_taken, ...rest };
  }

  async take(): Promise<Taken> {
    return { messages: this.isSettled ? [] : [this.incoming], hasMore: false, isMoved: false, isSuspect: false, hasStored: true };
  }

  async retake(): Promise<boolean> {
    return !this.isSettled;
  }

  async lease(): Promise<Lease | undefined> {
    const nothing = async (): Promise<undefined> => undefined;
    return { ...(await this.take()), renew: nothing, finish: nothing, release: nothing };
  }

  async settle(_messages: readonly Incoming[], outcome: 'ack' | 'requeue'): Promise<void> {
    if (outcome !== 'ack') return;
    await this.pool.query('delete from spool where n = $1', [this.row.n]);
    this.isSettled = true;
  }
}
