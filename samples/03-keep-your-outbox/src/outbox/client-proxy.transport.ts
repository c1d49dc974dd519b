import type { OnApplicationShutdown, Type } from '@nestjs/common';
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { type OutboxMessage, OutboxTransport } from './contract.js';

/** Where a ClientProxy of RabbitMQ sends to. */
export interface ClientOptions {
  readonly url: string;
  readonly queue: string;
}

/** Sends what `client.emit(topic, envelope)` of a ClientProxy over RabbitMQ sends: to one queue, confirmed, not persistent. */
export function ClientProxyTransport({ url, queue }: ClientOptions): Type<OutboxTransport> {
  return class ClientProxyTransportHost extends OutboxTransport implements OnApplicationShutdown {
    private connection: Promise<ChannelModel> | undefined;
    private channel: Promise<ConfirmChannel> | undefined;

    async publish({ id, topic, key, headers, createdAt, payload }: OutboxMessage): Promise<void> {
      this.channel ??= this.open();
      const channel = await this.channel;
      const sent = { pattern: topic, data: { id, topic, key, headers, createdAt, payload } };
      await new Promise<void>((resolve, reject) => {
        channel.sendToQueue(queue, Buffer.from(JSON.stringify(sent)), {}, (error) => (error ? reject(error) : resolve()));
      });
    }

    async onApplicationShutdown(): Promise<void> {
      await (await this.connection)?.close();
    }

    private async open(): Promise<ConfirmChannel> {
      this.connection = connect(url);
      const channel = await (await this.connection).createConfirmChannel();
      await channel.assertQueue(queue);
      return channel;
    }
  };
}
