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
import { attributesOf, hfError } from '@holdfast/core';
import { Pool } from 'pg';

const CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: false,
  sharedSubscriptions: true,
  partitionedDelivery: false,
  fromEarliest: true,
  withoutStore: false,
  renamedSubscriptions: false,
  replies: false,
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
  readonly health = { status: 'up', problem: undefined } as const;
  private specs: readonly SubscriptionSpec[] = [];
  private readonly tasks = new Set<Promise<unknown>>();
  private isDraining = false;
  private isClosed = false;
  isBusy = false;

  constructor(private readonly pool: Pool) {
    pool.on('error', () => undefined);
  }

  async start({ subscriptions }: Topology): Promise<void> {
    this.specs = subscriptions;
  }

  async publish(batch: readonly Envelope[]): Promise<readonly PublishOutcome[]> {
    if (this.isClosed) return batch.map(() => 'unknown');
    const sending = this.send(batch);
    this.tasks.add(sending);
    return sending.finally(() => this.tasks.delete(sending));
  }

  private async send(batch: readonly Envelope[]): Promise<readonly PublishOutcome[]> {
    const outcomes: PublishOutcome[] = [];
    for (const envelope of batch) outcomes.push((await this.isRefused(envelope)) ? 'rejected' : await this.keep(envelope));
    return outcomes;
  }

  private async isRefused({ id, body }: Envelope): Promise<boolean> {
    if ((JSON.parse(Buffer.from(body).toString()) as { kind?: string }).kind !== 'refuse-once') return false;
    const { rowCount } = await this.pool.query('insert into spool_refused values ($1) on conflict do nothing', [id]);
    return rowCount === 1;
  }

  private async keep(envelope: Envelope): Promise<PublishOutcome> {
    const { id, key, type, body } = envelope;
    const names = this.specs.filter(({ types }) => types.includes(type)).map(({ name }) => name);
    const { seq } = JSON.parse(Buffer.from(body).toString()) as { seq?: number };
    await this.pool.query(
      `with sent as (insert into spool_sent (message_id, key, seq, pid) values ($5, $6, $7, $8))
       insert into spool (subscription, type, attributes, body) select s, $2, $3, $4 from unnest($1::text[]) s`,
      [names, type, attributesOf(envelope), body, id, key, seq, process.pid],
    );
    return 'confirmed';
  }

  async subscribe(spec: SubscriptionSpec, sink: Sink): Promise<void> {
    this.tasks.add(this.consume(spec, sink));
  }

  async openReplies(): Promise<string> {
    throw hfError('HF_CAPABILITY_UNSUPPORTED', { feature: 'bus.request()', provider: 'the spool' });
  }

  nudge(): void {
    // It looks all the time.
  }

  async drain(): Promise<void> {
    this.isDraining = true;
    await Promise.all(this.tasks);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.all(this.tasks);
    await this.pool.end();
  }

  private async consume(spec: SubscriptionSpec, sink: Sink): Promise<void> {
    while (!this.isDraining) {
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
    for (let outcome = 'worked'; outcome !== 'idle' && !this.isDraining && !intake.isSettled; ) outcome = await sink.handle(intake);
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
