import type { InboxKey } from '../inbox/inbox.store.port.js';
import type { Envelope } from '../message/envelope.js';
import type { SucceededMessage } from './delivery.store.port.js';
import type { Incoming } from './intake.port.js';

/** A message that could be read. */
export interface ReadableMessage {
  readonly incoming: Incoming;
  readonly envelope: Envelope;
  /** An instance of the class that its subscription names; where there is none, any JSON value. */
  readonly data: unknown;
  /** Its schema has not answered in time, so it has no data: the attempt has failed with this before its handler begins. */
  readonly late?: Error;
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
  /** Only this process has no class for it: it is kept for one that does, and in the order of its key it has its turn. */
  readonly isForOthers?: boolean;
}

/** A message with a place in the order of its key. */
export type MessageInTurn = Pick<ReadableMessage, 'incoming' | 'envelope'>;

/** A message after decoding. */
export type OpenedMessage = ReadableMessage | UnreadableMessage;

/** True for a message that has its data. */
export function isReadable(message: OpenedMessage): message is ReadableMessage {
  return 'data' in message;
}

/** True for a message that is kept for processes of another version. */
export function isForOthers(message: OpenedMessage): message is UnreadableMessage & MessageInTurn {
  return 'isForOthers' in message && message.isForOthers === true;
}

/** True for a message that waits behind what is unfinished of its key. */
export function hasTurn(message: OpenedMessage): message is OpenedMessage & MessageInTurn {
  return isReadable(message) || isForOthers(message);
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
