import { hfError } from '../errors/catalogue.js';
import { decodeData } from '../message/codec.js';
import { type Envelope, envelopeFrom } from '../message/envelope.js';
import { DEFAULT_LIMITS } from '../message/limits.js';
import { unstorable } from '../message/storable.js';
import type { InboxKey } from '../inbox/inbox.store.port.js';
import type { Incoming } from './intake.port.js';
import type { Subscription } from './subscription.js';

/** A message that could be read. */
export interface ReadableMessage {
  readonly incoming: Incoming;
  readonly envelope: Envelope;
  readonly data: object;
}

/** A message nobody can read; parked with the reason and as much of its identity as was found. */
export interface UnreadableMessage {
  readonly incoming: Incoming;
  readonly envelope: Envelope | undefined;
  readonly error: unknown;
  /** What could be read of its identity although the rest could not. */
  readonly identity?: InboxKey;
}

/** A message after decoding. */
export type OpenedMessage = ReadableMessage | UnreadableMessage;

/** True for a message that has its data. */
export function isReadable(message: OpenedMessage): message is ReadableMessage {
  return 'data' in message;
}

/** Decodes a message into the class its subscription names. Whatever is wrong with it ends in the answer, never in an exception. */
export async function openMessage(subscription: Subscription, incoming: Incoming): Promise<OpenedMessage> {
  let envelope: Envelope | undefined;
  try {
    envelope = envelopeFrom(incoming.attributes, incoming.body, { limits: subscription.limits });
    if (subscription.spec.ordering === 'key' && envelope.key === undefined) {
      throw hfError('HF_ORDERING_KEY_MISSING', { type: envelope.type, subscription: subscription.spec.name });
    }
    return { incoming, envelope, data: await decodeData(envelope, subscription.messages, subscription.limits) };
  } catch (error) {
    return { incoming, envelope, error, identity: envelope === undefined ? identityIn(incoming.attributes) : undefined };
  }
}

/** Source and id of a message, where they could be read. */
export function identityOf(message: OpenedMessage): InboxKey | undefined {
  const { envelope } = message;
  if (envelope !== undefined) return { source: envelope.source, id: envelope.id };
  return 'identity' in message ? message.identity : undefined;
}

/** Source and id in attributes that are damaged elsewhere, so that a person can find the message. */
function identityIn(attributes: string): InboxKey | undefined {
  try {
    const { source, id } = (JSON.parse(attributes) ?? {}) as { readonly source?: unknown; readonly id?: unknown };
    const isReal = [source, id].every((text) => unstorable(text, DEFAULT_LIMITS.idLength) === undefined);
    return isReal ? { source: source as string, id: id as string } : undefined;
  } catch {
    return undefined;
  }
}
