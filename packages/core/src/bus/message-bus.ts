import type { Command, EventMessage, MessageRef } from '../message/message.js';
import type { Duration } from '../time/duration.js';

/** Options every call has. */
export interface CallOptions {
  /** Ordering key: order is kept within it; at most 255 characters; default: none. */
  key?: string;
  /** Application headers, strings only. */
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

/** Options of `publish`. */
export type PublishOptions = CallOptions & When;

/** Options of `send`. */
export type SendOptions = CallOptions & When;

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
}
