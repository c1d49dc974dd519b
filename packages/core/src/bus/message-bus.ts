import type { Command, EventMessage, MessageRef } from '../message/message.js';
import type { Duration } from '../time/duration.js';

/** Options every call has. */
export interface CallOptions {
  /** Ordering key: order is kept within it; at most 255 characters; default: none. */
  key?: string;
  /** Application headers, strings only; a name has at most 240 bytes. */
  headers?: Readonly<Record<string, string>>;
  /** Message id of your own, for a deterministic publish, 1 to 255 characters; default: a UUIDv7. */
  id?: string;
  /** The conversation; default: that of the delivery being handled, else the new id. */
  correlationId?: string;
  /** Overrides the destination of the class; an unknown transport throws HF_DESTINATION_UNKNOWN. */
  destination?: string;
}

/** At once, after a delay, or at a moment: not two of them; kept by the store, so HF_CAPABILITY_UNSUPPORTED without one. */
export type When = { delay?: Duration; at?: undefined } | { at?: Date; delay?: undefined };

/** Receipts of the subscriptions that get a message. */
export interface ReceiptOption {
  /**
   * Asks every subscription for a receipt, given in the commit that deals with the message, read with `Outbox.receipts` and `Outbox.isConsumed`; default
   * false. It costs a row for each known subscription, and over a broker a message from every other service: those only reach a service whose options
   * say `receipts: true`, else HF_CAPABILITY_UNSUPPORTED.
   */
  receipt?: boolean;
}

/** The saga of a message. */
export interface SagaOption {
  /**
   * Makes this message the first of a choreographed saga, with an id of yours of 1 to 255 characters; default: the saga of the delivery being handled, so
   * all that follows from it belongs to the saga, too. HF_MESSAGE_ID for one that cannot be used.
   */
  sagaId?: string;
}

/** Options of `publish`. */
export type PublishOptions = CallOptions & When & ReceiptOption & SagaOption;

/** Options of `send`. */
export type SendOptions = CallOptions & When & ReceiptOption & SagaOption;

/** Options of `request`. With an `id` of your own a request can be repeated: a handler with `@Idempotent` answers again what it answered first. */
export interface RequestOptions extends CallOptions {
  /** How long to wait for the reply; default '30s'; then HF_REQUEST_TIMEOUT. A longer one keeps a caller waiting while its command is retried. */
  timeout?: Duration;
  /** Stops waiting (not the handler). */
  signal?: AbortSignal;
}

/**
 * Publishes and sends; inject it by this class.
 *
 * Data is serialised at the call, so changing the object afterwards changes nothing. Inside a unit of work the message is written with its
 * commit and is gone with its rollback; outside, each call opens a unit of its own. The returned id is final and says nothing about delivery.
 *
 * **Guarantee:** a committed message reaches every subscription of its type at least once. **Not promised:** a time, or an order without `key`.
 */
export abstract class MessageBus {
  /**
   * Tells a fact to all its subscribers, of which there may be none.
   *
   * @throws HF_MESSAGE_UNDECLARED, HF_MESSAGE_INVALID, HF_MESSAGE_TOO_LARGE, HF_MESSAGE_ID, HF_MESSAGE_HEADERS; nothing was written then
   */
  abstract publish(event: EventMessage, options?: PublishOptions): Promise<MessageRef>;
  /** Asks the one owner of a command to act and waits for nothing. @throws as `publish` does */
  abstract send(command: Command<unknown>, options?: SendOptions): Promise<MessageRef>;
  /**
   * Asks the one owner of a command to act, and waits for what its handler returns. Both messages go the way of all messages, so a handler that
   * committed has answered, and no business transaction waits. **Not promised:** that a command nobody answered in time is not handled later.
   *
   * @returns the reply as JSON carries it: a Date comes as text
   * @throws HF_REQUEST_TIMEOUT, HF_REQUEST_REJECTED (it was refused for good, its attempts were used up, or it could not be read), HF_REPLY_UNSENDABLE,
   * HF_REPLY_UNREADABLE, HF_COMMAND_UNROUTABLE, HF_REQUEST_LIMIT, HF_STOPPING, HF_REQUEST_IN_TRANSACTION inside a unit, and as `send` does
   */
  abstract request<Reply>(command: Command<Reply>, options?: RequestOptions): Promise<Reply>;
}
