import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChannelModel, ConfirmChannel, ConsumeMessage } from 'amqplib';
import { Pool, type PoolClient } from 'pg';
import { byHand, makeQueueOf, type RabbitPlace } from '../runner/rabbit.js';
import { inParallel } from '../runner/wait.js';
import { POOL_SIZE } from '../shop/shop.js';
import { consumeByHand } from './hand-rabbit-consumer.js';
import { publishConfirmed, WINDOW } from './hand-rabbit-shop.js';
import { CONSUMER, OUTBOX_AND_INBOX, POLL_LIMIT, POLL_MS, SQL } from './hand-shop.js';
import { inTransaction } from './in-transaction.js';

const CLAIM = { name: 'claim-typed', text: 'select id, message_id, type, body from outbox order by id limit $1 for update skip locked' };

interface TypedRow {
  readonly id: string;
  readonly message_id: string;
  readonly type: string;
  readonly body: string;
}

/** Handles a body in the transaction of its inbox row; what it answers is run after the commit. */
export type HandHandler = (client: PoolClient, body: string) => Promise<(() => void) | undefined>;

/** What a service by hand consumes. */
export interface HandConsumer {
  readonly queue: string;
  /** Routing key. */
  readonly takes: string;
  /** Messages in work at once. */
  readonly atOnce: number;
  readonly handle: HandHandler;
}

/** A service on plain pg and amqplib with a database of its own: an outbox and its poller, an inbox and its consumer, as in `HandRabbitShop`. */
export class HandRabbitService {
  readonly pool: Pool;
  private readonly connections: ChannelModel[] = [];
  private publishing: ConfirmChannel | undefined;
  private isStopped = false;
  private polling: Promise<void> | undefined;

  constructor(
    url: string,
    private readonly place: RabbitPlace,
  ) {
    this.pool = new Pool({ connectionString: url, max: POOL_SIZE, idleTimeoutMillis: 0 });
  }

  async open(consumer: HandConsumer): Promise<void> {
    await this.pool.query(OUTBOX_AND_INBOX);
    const [publish, consume] = [await byHand(this.place), await byHand(this.place)];
    this.connections.push(publish, consume);
    this.publishing = await publish.createConfirmChannel();
    await makeQueueOf(this.publishing, this.place, consumer);
    const { queue, atOnce, handle } = consumer;
    const one = ([message]: readonly ConsumeMessage[]) => this.handleOnce(message as ConsumeMessage, handle);
    await consumeByHand(consume, { queue, atOnce, batchSize: 1, handle: one });
  }

  startPolling(): void {
    this.isStopped = false;
    this.polling = this.poll(this.publishing as ConfirmChannel);
  }

  async stopPolling(): Promise<void> {
    this.isStopped = true;
    await this.polling;
  }

  /** Leaves a message with the commit. */
  async send(client: PoolClient, type: string, message: object): Promise<void> {
    await client.query({ ...SQL.outbox, values: [randomUUID(), type, null, JSON.stringify(message)] });
  }

  async close(): Promise<void> {
    await this.stopPolling();
    for (const connection of this.connections) await connection.close();
    await this.pool.end();
  }

  private async handleOnce({ content, properties }: ConsumeMessage, handle: HandHandler): Promise<void> {
    const then = await inTransaction(this.pool, async (client) => {
      const { rowCount } = await client.query({ ...SQL.inbox, values: [CONSUMER, properties.messageId] });
      return rowCount === 1 ? handle(client, content.toString()) : undefined;
    });
    then?.();
  }

  private async poll(channel: ConfirmChannel): Promise<void> {
    while (!this.isStopped) {
      const startedMs = performance.now();
      const count = await inTransaction(this.pool, (client) => this.pollOnce(client, channel));
      const leftMs = POLL_MS - (performance.now() - startedMs);
      if (count < POLL_LIMIT && leftMs > 0) await sleep(leftMs);
    }
  }

  private async pollOnce(client: PoolClient, channel: ConfirmChannel): Promise<number> {
    const { rows } = await client.query<TypedRow>({ ...CLAIM, values: [POLL_LIMIT] });
    if (rows.length === 0) return 0;
    await inParallel(rows.length, WINDOW, (index) => {
      const { body, type, message_id: messageId } = rows[index] as TypedRow;
      return publishConfirmed(channel, [this.place.exchange, type], { body, messageId });
    });
    await client.query({ ...SQL.delete, values: [rows.map(({ id }) => id)] });
    return rows.length;
  }
}
