import { hfError } from '../errors/catalogue.js';
import type { InboxKey } from '../inbox/inbox.store.port.js';
import { readArrival } from '../message/arrival.js';
import { decodeData } from '../message/codec.js';
import { attributesOf, type Envelope, envelopeFrom } from '../message/envelope.js';
import { DEFAULT_LIMITS } from '../message/limits.js';
import { unstorable } from '../message/storable.js';
import { undoingError } from '../participant/undone-step.js';
import type { Incoming } from './intake.port.js';
import type { OpenedMessage } from './opened-message.js';
import type { Subscription } from './subscription.js';

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
