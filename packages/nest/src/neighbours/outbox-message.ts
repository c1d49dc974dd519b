import { type Envelope, envelopeFrom, headersToSend, hfError, type MessageLimits } from '@holdfast/core';

/** A message as the relay of `@nestjs/outbox` hands it to a transport; only what is used of it. */
export interface RelayedMessage {
  /** Stays the same over its attempts. */
  readonly id: string;
  /** Becomes the type. */
  readonly topic: string;
  /** Ordering key; null: none. */
  readonly key?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** JSON; an object, if Holdfast is to handle it. */
  readonly payload: unknown;
}

/** The message as it travels. @throws HoldfastErrors of category `contract`, whatever is wrong with it */
export function envelopeOf(message: RelayedMessage, source: string, limits: MessageLimits): Envelope {
  const { id, topic, key, headers, createdAt } = message;
  const time = new Date(createdAt);
  const attributes = {
    id,
    source,
    type: topic,
    partitionkey: key,
    time: Number.isNaN(time.getTime()) ? String(createdAt) : time.toISOString(),
    headers: headersToSend(headers ?? undefined, limits),
  };
  return envelopeFrom(attributes, bodyOf(message, limits), { limits });
}

function bodyOf({ topic: type, payload }: RelayedMessage, limits: MessageLimits): Buffer {
  let text: string | undefined;
  try {
    text = JSON.stringify(payload);
  } catch (cause) {
    throw hfError('HF_MESSAGE_INVALID', { type, issues: ['its payload has no form in JSON; see the cause'] }, { cause });
  }
  if (text === undefined) throw hfError('HF_MESSAGE_INVALID', { type, issues: ['it has no payload'] });
  const body = Buffer.from(text);
  if (body.byteLength > limits.bodyBytes) throw hfError('HF_MESSAGE_TOO_LARGE', { type, bytes: body.byteLength, limit: limits.bodyBytes });
  return body;
}
