import type { ChannelModel, ConfirmChannel, ConsumeMessage } from 'amqplib';
import { byHand, makeQueue, queuesIn, type RabbitPlace } from '../runner/rabbit.js';
import { inParallel } from '../runner/wait.js';
import { HANDLERS } from '../shop/shop.js';
import { consumeByHand } from './hand-rabbit-consumer.js';
import { HandShop, type OutboxRow, POLL_LIMIT, SQL, type Sql } from './hand-shop.js';

/** Messages on their way to the broker and not confirmed, at most: the transport's default. */
export const WINDOW = 256;

/** Publishes one persistent message; resolves with its confirm. */
export function publishConfirmed(
  channel: ConfirmChannel,
  [exchange, routingKey]: readonly [string, string],
  message: { readonly body: string; readonly messageId: string; readonly headers?: Readonly<Record<string, string>> },
): Promise<void> {
  const { body, messageId, headers } = message;
  const options = { persistent: true, mandatory: true, contentType: 'application/json', messageId, ...(headers ? { headers } : {}) };
  return new Promise((resolve, reject) => {
    channel.publish(exchange, routingKey, Buffer.from(body), options, (error) => (error ? reject(error) : resolve()));
  });
}

/**
 * The same over RabbitMQ, on plain pg and amqplib: the poller publishes what it claimed with confirms and deletes it then; the consumer writes inbox row and
 * payment in one transaction and acknowledges after its commit.
 */
export class HandRabbitShop extends HandShop {
  /** Told after the commit of a payment. */
  onPaid: (orderId: string) => void = () => undefined;
  /** Where it is on the broker, once it is connected. */
  at: RabbitPlace | undefined;
  private connections: readonly ChannelModel[] = [];
  private publishing: ConfirmChannel | undefined;

  /** @param batchSize messages a transaction, at most; 0 for no consumer */
  async connect(place: RabbitPlace, batchSize: number): Promise<void> {
    this.at = place;
    this.connections = [await byHand(place), await byHand(place)];
    const [publish, consume] = this.connections as [ChannelModel, ChannelModel];
    this.publishing = await publish.createConfirmChannel();
    const queue = queuesIn(place).hand;
    await makeQueue(this.publishing, place, queue);
    if (batchSize === 0) return;
    await consumeByHand(consume, { queue, atOnce: HANDLERS, batchSize, handle: (messages) => this.payMessages(messages) });
  }

  override async close(): Promise<void> {
    await super.close();
    for (const connection of this.connections) await connection.close();
  }

  protected override async pollOnce(client: Sql): Promise<number> {
    const { rows } = await client.query<OutboxRow>({ ...SQL.claim, values: [POLL_LIMIT] });
    if (rows.length === 0) return 0;
    const [channel, { exchange }] = [this.publishing as ConfirmChannel, this.at as RabbitPlace];
    await inParallel(rows.length, WINDOW, (index) => {
      const { body, message_id: messageId } = rows[index] as OutboxRow;
      return publishConfirmed(channel, [exchange, 'order.placed'], { body, messageId });
    });
    await client.query({ ...SQL.delete, values: [rows.map(({ id }) => id)] });
    return rows.length;
  }

  private async payMessages(messages: readonly ConsumeMessage[]): Promise<void> {
    const bodies = new Map(messages.map(({ content, properties }) => [properties.messageId as string, content.toString()]));
    await this.payAll(bodies);
    for (const body of bodies.values()) this.onPaid((JSON.parse(body) as { orderId: string }).orderId);
  }
}
