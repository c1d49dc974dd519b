import { hfError } from '../errors/catalogue.js';
import { readArrival } from '../message/arrival.js';
import { decodeData } from '../message/codec.js';
import { attributesOf, type Envelope, envelopeFrom } from '../message/envelope.js';
import { DEFAULT_LIMITS } from '../message/limits.js';
import { unstorable } from '../message/storable.js';
import { undoingError } from '../participant/undone-step.js';
import type { InboxKey } from '../inbox/inbox.store.port.js';
import type { SucceededMessage } from './delivery.store.port.js';
import type { Incoming } from './intake.port.js';
import type { Subscription } from './subscription.js';

/** A message that could be read. */
export interface ReadableMessage {
  readonly incoming: Incoming;
  readonly envelope: Envelope;
  /** An instance of the class that its subscription names; where there is none, any JSON value. */
  readonly data: unknown;
  /** What is stored of it when it is not dealt with at once, where that is not what came: a foreign message is read once, and keeps its id. */
  readonly mapped?: Incoming;
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

/** Decodes a message into the class its subscription names. Whatever is wrong with it ends in the answer, never in an exception. A promise only when its schema is asynchronous. */
export function openMessage(subscription: Subscription, incoming: Incoming): OpenedMessage | Promise<OpenedMessage> {
  let envelope: Envelope | undefined;
  const unreadable = (error: unknown): OpenedMessage => {
    return { incoming, envelope, error, identity: envelope === undefined ? identityIn(incoming) : undefined };
  };
  try {
    const { attributes, body, isMapped } = readArrival(incoming, subscription);
    const read = envelopeFrom(attributes, body, { limits: subscription.limits });
    envelope = read;
    if (subscription.spec.ordering === 'key' && read.key === undefined) {
      throw hfError('HF_ORDERING_KEY_MISSING', { type: read.type, subscription: subscription.spec.name });
    }
    const refused = undoingError(subscription, read);
    if (refused !== undefined) throw refused;
    const mapped = isMapped ? asWritten(incoming, read) : undefined;
    const opened = (data: unknown): OpenedMessage => ({ incoming, envelope: read, data, mapped });
    const data = decodeData(read, subscription.messages, subscription.limits);
    return data instanceof Promise ? data.then(opened, unreadable) : opened(data);
  } catch (error) {
    return unreadable(error);
  }
}

/** The same of several, in their order. */
export function openMessages(
  subscription: Subscription,
  incoming: readonly Incoming[],
): readonly OpenedMessage[] | Promise<readonly OpenedMessage[]> {
  const opened = incoming.map((message) => openMessage(subscription, message));
  return opened.some((message) => message instanceof Promise) ? Promise.all(opened) : (opened as readonly OpenedMessage[]);
}

/** As a CloudEvents producer would have sent it. */
function asWritten(incoming: Incoming, envelope: Envelope): Incoming {
  return { ...incoming, type: envelope.type, attributes: attributesOf(envelope), read: undefined, body: envelope.body };
}

/** A message as it is stored. A foreign one that could not be read in the end stays as it came, so that a corrected `readForeign` can read it anew. */
export function storedForm(message: OpenedMessage): Incoming {
  const { incoming, envelope } = message;
  if (isReadable(message) && message.mapped !== undefined) return message.mapped;
  return incoming.type === '' && envelope !== undefined ? { ...incoming, type: envelope.type } : incoming;
}

/** The envelope of a message, where it could be read. */
export function envelopeOf({ envelope }: OpenedMessage): Envelope | undefined {
  return envelope;
}

/** Source and id of a message, where they could be read. */
export function identityOf(message: OpenedMessage): InboxKey | undefined {
  const { envelope } = message;
  if (envelope !== undefined) return { source: envelope.source, id: envelope.id };
  return 'identity' in message ? message.identity : undefined;
}

/** What its stored deliveries are found by, once it was handled. */
export function succeeded({ incoming, envelope: { source, id } }: ReadableMessage): SucceededMessage {
  return { source, id, deliveryId: incoming.deliveryId };
}

/** What tells it from other messages, for a list of the latest ones. */
export function nameOf(message: OpenedMessage): string {
  const identity = identityOf(message);
  return identity === undefined ? message.incoming.place : `${identity.source} ${identity.id}`;
}

/** Source and id in attributes that are damaged elsewhere, so that a person can find the message. */
function identityIn(incoming: Incoming): InboxKey | undefined {
  try {
    const { source, id } = (JSON.parse(incoming.attributes) ?? {}) as { readonly source?: unknown; readonly id?: unknown };
    const isReal = [source, id].every((text) => unstorable(text, DEFAULT_LIMITS.idLength) === undefined);
    return isReal ? { source: source as string, id: id as string } : undefined;
  } catch {
    return undefined;
  }
}
