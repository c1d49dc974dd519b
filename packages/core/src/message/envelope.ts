export { attributesIn, attributesOf, envelopeFrom, type WrittenAttributes } from './attributes.js';

/**
 * A message as it travels and as it is stored: CloudEvents attributes and a body of bytes. Made once, when it is published, and never changed.
 *
 * Identity is `source` and `id` together. Names and meaning are those of CloudEvents 1.0, except that the version of the data is a number
 * here and an address (`dataschema`) on the wire.
 *
 * @source CloudEvents 1.0.2 §"Context Attributes"; extensions `partitionkey` (Partitioning extension) and `traceparent` (Distributed Tracing)
 */
export interface Envelope {
  /** Message id; unique together with `source`. */
  readonly id: string;
  /** Service (or foreign producer) that published it. */
  readonly source: string;
  /** CloudEvents type, as given to `@Message`. */
  readonly type: string;
  /** Version of the data in `body`, from 1. */
  readonly version: number;
  /** Ordering key; undefined: none. */
  readonly key?: string;
  /** When it was published, on the publisher's clock; of a request that a saga sends again: when it was sent first. */
  readonly time: Date;
  /** When it was to leave, on the publisher's clock, if it was published with `delay` or `at`: its age is counted from here. */
  readonly dueAt?: Date;
  /** Address where it goes on its transport, when that is not its type; of a reply: whoever asked. */
  readonly destination?: string;
  /** Application headers; without a prototype. */
  readonly headers: Readonly<Record<string, string>>;
  /** The conversation; the id of its first message unless given. */
  readonly correlationId: string;
  /** Id of the message whose handler published this one. */
  readonly causationId?: string;
  /** The saga it belongs to. */
  readonly sagaId?: string;
  /** W3C trace context of the publisher. */
  readonly traceparent?: string;
  /** Where whoever sent it waits for the reply, as its transport understands it; undefined: nobody waits. */
  readonly replyTo?: string;
  /** Id of the request, of the same source, that this command is to undo. */
  readonly compensates?: string;
  /** CloudEvents type of that request; undefined: not told. */
  readonly compensatesType?: string;
  /** When that request was published, on its publisher's clock: what its handler remembers has an age. Undefined: not told. */
  readonly compensatesTime?: Date;
  /** Of a command that undoes a request: whoever sends it knows that the request was handled, so nobody need find out. */
  readonly hasRun?: true;
  /** Its publisher wants to know which subscriptions have dealt with it. */
  readonly wantsReceipt?: boolean;
  /** Whether it states a fact to anyone, asks one owner to act, or answers one process that asked. */
  readonly kind: 'event' | 'command' | 'reply';
  /** How `body` is written. */
  readonly contentType: 'application/json';
  /** The data, serialised once at the call. */
  readonly body: Uint8Array;
}
