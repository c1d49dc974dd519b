import { randomUUID } from 'node:crypto';
import { connect } from 'amqplib';

const run = randomUUID();

/** Where the messages go: names of this run alone, so that it meets nobody at a RabbitMQ that others use. */
export const broker = {
  url: process.env.RABBITMQ_URL ?? 'amqp://guest:guest@127.0.0.1:5672',
  /** Of Holdfast. */
  exchange: `sample-${run}`,
  /** Of the ClientProxy. */
  queue: `sample-${run}-billing`,
};

/** Version of the RabbitMQ; makes the queue as the old consumer did. @throws with what to do when there is none */
export async function prepareBroker(): Promise<string> {
  try {
    const connection = await connect(broker.url, { timeout: 2000 });
    const { version } = connection.connection.serverProperties;
    const channel = await connection.createChannel();
    await channel.assertQueue(broker.queue);
    await connection.close();
    return version;
  } catch (error) {
    const { message, code } = error as { readonly message?: string; readonly code?: string };
    throw new Error(
      `There is no RabbitMQ at ${new URL(broker.url).host} (${message || code}), and this sample needs one: start it, or name one with RABBITMQ_URL.`,
    );
  }
}

/** Takes away what was made there. */
export async function cleanBroker(): Promise<void> {
  const connection = await connect(broker.url);
  const channel = await connection.createChannel();
  const ofBilling = ['billing', 'billing:dead'].map((part) => `${broker.exchange}/${part}/billing.charge`);
  for (const name of [broker.queue, ...ofBilling]) await channel.deleteQueue(name);
  await channel.deleteExchange(broker.exchange);
  await connection.close();
}
