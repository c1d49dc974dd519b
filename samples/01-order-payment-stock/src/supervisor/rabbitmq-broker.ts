import { type ChannelModel, connect } from 'amqplib';
import type { Broker } from './broker.js';

const DEFAULT_URL = 'amqp://guest:guest@127.0.0.1:5672';
const CONNECT_MS = 5000;
/** Subscriptions of the services, which name their queues; the last one takes the replies to the sagas. */
const SUBSCRIPTIONS = {
  payments: ['payments.charge'],
  stock: ['stock.reserve', 'stock.release'],
  shipping: ['shipping.begin', 'holdfast.saga-replies'],
} as const;

/** The RabbitMQ of a run: one that is there already, with an exchange and queues of this run, which are removed at its end. */
export class RabbitmqBroker implements Broker {
  private constructor(
    private readonly connection: ChannelModel,
    /** What the services are given. */
    readonly environment: { readonly RABBITMQ_URL: string; readonly RABBITMQ_EXCHANGE: string },
  ) {}

  /** @throws an Error that says what to do when there is none */
  static async open(url = process.env.RABBITMQ_URL ?? DEFAULT_URL): Promise<RabbitmqBroker> {
    try {
      const connection = await connect(url, { timeout: CONNECT_MS });
      connection.on('error', () => undefined);
      return new RabbitmqBroker(connection, {
        RABBITMQ_URL: url,
        RABBITMQ_EXCHANGE: `holdfast-sample-${process.pid}-${Date.now().toString(36)}`,
      });
    } catch (error) {
      const { host } = new URL(url);
      throw new Error(
        `no RabbitMQ answers at ${host} (${error instanceof Error ? error.message : String(error)}). Start one, or set RABBITMQ_URL`,
      );
    }
  }

  async remove(): Promise<void> {
    const { RABBITMQ_EXCHANGE: exchange } = this.environment;
    const channel = await this.connection.createChannel();
    for (const [service, names] of Object.entries(SUBSCRIPTIONS)) {
      for (const name of names) {
        await channel.deleteQueue(`${exchange}/${service}/${name}`);
        await channel.deleteQueue(`${exchange}/${service}:dead/${name}`);
      }
    }
    await channel.deleteExchange(exchange);
    await this.connection.close();
  }
}
