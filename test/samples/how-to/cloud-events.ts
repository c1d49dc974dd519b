// A program that knows CloudEvents and AMQP, and nothing of Holdfast.
import { createHash } from 'node:crypto';
import type { Channel, ConsumeMessage } from 'amqplib';
import { CloudEvent } from 'cloudevents';

/** Reads a message: binary mode, attributes in headers. Throws when it is no valid CloudEvent. */
export function eventIn({ properties, content }: ConsumeMessage): CloudEvent<unknown> {
  const attributes = Object.entries(properties.headers ?? {}).filter(([name]) => name.startsWith('cloudEvents:'));
  return new CloudEvent({
    ...Object.fromEntries(attributes.map(([name, value]) => [name.slice('cloudEvents:'.length), value])),
    datacontenttype: properties.contentType,
    data: JSON.parse(content.toString()),
  });
}

/** Sends one to the exchange of the bus. The routing key is the type and one word more, which says what is kept in order. */
export function sendEvent(channel: Channel, event: CloudEvent<unknown>, exchange = 'holdfast'): void {
  const { data, datacontenttype, ...attributes } = event.toJSON();
  const { partitionkey } = attributes;
  const word = typeof partitionkey === 'string' ? createHash('sha256').update(partitionkey).digest()[0] : 'none';
  const headers = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`cloudEvents:${name}`, value]));
  const contentType = datacontenttype as string | undefined;
  channel.publish(exchange, `${event.type}.${word}`, Buffer.from(JSON.stringify(data)), { headers, contentType, persistent: true });
}
