import { hfError } from '../errors/catalogue.js';
import { classify } from '../errors/classify.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import type { InboxKey } from '../inbox/inbox.store.port.js';
import { readArrival } from '../message/arrival.js';
import { decodeData } from '../message/codec.js';
import { attributesOf, type Envelope, envelopeFrom } from '../message/envelope.js';
import { DEFAULT_LIMITS } from '../message/limits.js';
import { unstorable } from '../message/storable.js';
import { undoingError } from '../participant/undone-step.js';
import type { Incoming } from './intake.port.js';
import type { OpenedMessage } from './opened-message.js';
import type { HandlerCallContext } from './handling-context.js';
import type { Subscription } from './subscription.js';
import { TimedCall } from './timed-call.js';

/** What opening works with. */
export type OpeningContext = Pick<HandlerCallContext, 'scheduler' | 'inHand'>;

/**
 * Decodes a message into the class its subscription names. Whatever is wrong with it ends in the answer, never in an exception. A promise only when its schema is
 * asynchronous: it has as long as the handler. Rejects only when stopping cannot wait for it.
 */
export function openMessage(
  context: OpeningContext,
  subscription: Subscription,
  incoming: Incoming,
): OpenedMessage | Promise<OpenedMessage> {
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
    if (!(data instanceof Promise)) return opened(data);
    const notOpened = (error: unknown): OpenedMessage => {
      if (classify(error).category === 'cancelled') throw error;
      return isHoldfastError(error, 'HF_HANDLER_TIMEOUT') ? { ...opened(undefined), late: error } : unreadable(error);
    };
    return inTime(context, subscription, data).then(opened, notOpened);
  } catch (error) {
    return unreadable(error);
  }
}

/** The same of several, in their order. */
export function openMessages(
  context: OpeningContext,
  subscription: Subscription,
  incoming: readonly Incoming[],
): readonly OpenedMessage[] | Promise<readonly OpenedMessage[]> {
  const opened = incoming.map((message) => openMessage(context, subscription, message));
  return opened.some((message) => message instanceof Promise) ? Promise.all(opened) : (opened as readonly OpenedMessage[]);
}

/** What a schema gives in the end, or HF_HANDLER_TIMEOUT: nobody can stop it, and what it waits for may never come. */
async function inTime(context: OpeningContext, { spec, timeoutMs }: Subscription, data: Promise<unknown>): Promise<unknown> {
  // Of one that nobody waits for any more, too.
  data.catch(() => undefined);
  let value: unknown;
  const tooLong = () =>
    hfError(
      'HF_HANDLER_TIMEOUT',
      { subscription: spec.name, timeoutMs },
      { cause: new Error('the schema of its message has not answered') },
    );
  const call = new TimedCall(context, { activity: `the schema of a message for ${spec.name}`, timeoutMs, tooLong });
  await call.run(async () => {
    value = await data;
  });
  return value;
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
