import type { ChannelModel, ConsumeMessage } from 'amqplib';

/** Messages fetched for each one in work: the transport's default. */
export const AHEAD = 2;

/** What is consumed by hand, and how. */
export interface HandConsuming {
  readonly queue: string;
  /** Batches in work at once. */
  readonly atOnce: number;
  /** Messages in a batch, at most. */
  readonly batchSize: number;
  /** Handles a batch, which is acknowledged then. */
  readonly handle: (messages: readonly ConsumeMessage[]) => Promise<void>;
}

/** Consumes with a window: so many batches in work, and as much again fetched ahead. */
export async function consumeByHand(connection: ChannelModel, { queue, atOnce, batchSize, handle }: HandConsuming): Promise<void> {
  const fetched: ConsumeMessage[] = [];
  let inWork = 0;
  const channel = await connection.createChannel();
  await channel.prefetch(AHEAD * atOnce * batchSize);
  const work = (): void => {
    while (inWork < atOnce && fetched.length > 0) {
      const messages = fetched.splice(0, batchSize);
      inWork += 1;
      void handle(messages).then(() => {
        for (const message of messages) channel.ack(message);
        inWork -= 1;
        work();
      });
    }
  };
  await channel.consume(queue, (message) => {
    if (message === null) throw new Error('the queue is gone');
    fetched.push(message);
    work();
  });
}
