import { createHash } from 'node:crypto';
import type { Envelope } from '../message/envelope.js';

/** What a Delivery is made of. */
export interface DeliveryFields {
  readonly envelope: Envelope;
  /** Durable name of the subscription. */
  readonly subscription: string;
  /** From 1. */
  readonly attempt: number;
  readonly isRedelivery: boolean;
  readonly deadlineAt: Date;
  /** Called once, when the handler first looks at `signal`: most never do, and a signal with its listeners is dear. */
  readonly signal: () => AbortSignal;
  /** The request that it undoes. */
  readonly undoes?: UndoneRequest | undefined;
  /** Default: made of the subscription's name and the message's identity. */
  readonly idempotencyKey?: string;
}

/** A request that is to be undone. */
export interface UndoneRequest {
  /** Its message id; its source is that of the delivery. */
  readonly id: string;
  /** The `idempotencyKey` that its handler had, by which a foreign API knows what is to be undone, unless its subscription was renamed since. */
  readonly idempotencyKey: string;
}

let construct: (fields: DeliveryFields) => Delivery;

/**
 * One hand-over of a message to a handler. Made by Holdfast, given to the handler as its second argument; inject nothing by it.
 *
 * A class, not an interface, because `emitDecoratorMetadata` needs a value for the parameter's type.
 */
export class Delivery {
  static {
    construct = (fields) => new Delivery(fields);
  }

  /** Message id; unique together with `source`. */
  readonly id: string;
  /** Service (or foreign producer) that published it. */
  readonly source: string;
  /** CloudEvents type, as given to `@Message`. */
  readonly type: string;
  /** Version of the data as it arrived, before upcasts. */
  readonly version: number;
  /** Ordering key, if the publisher gave one. */
  readonly key: string | undefined;
  /** Application headers; without a prototype. */
  readonly headers: Readonly<Record<string, string>>;
  /** When it was published, on the publisher's clock; of a request that a saga sends again: when it was sent first. */
  readonly time: Date;
  /** Durable name of the subscription that handles it. */
  readonly subscription: string;
  /** Which attempt this is, from 1. */
  readonly attempt: number;
  /** True when the broker may have handed it over before. */
  readonly isRedelivery: boolean;
  /** When the handler's time-out strikes. */
  readonly deadlineAt: Date;
  /** The conversation; default: the id of its first message. */
  readonly correlationId: string;
  /** Id of the message whose handler published this one. */
  readonly causationId: string | undefined;
  /** The saga it belongs to, orchestrated or choreographed. */
  readonly sagaId: string | undefined;
  /** In a handler with `@Compensate` over a command: the request that is to be undone. */
  readonly undoes: UndoneRequest | undefined;

  private readonly makeSignal: () => AbortSignal;
  private madeSignal: AbortSignal | undefined;
  private madeKey: string | undefined;

  private constructor(fields: DeliveryFields) {
    const { envelope } = fields;
    this.id = envelope.id;
    this.source = envelope.source;
    this.type = envelope.type;
    this.version = envelope.version;
    this.key = envelope.key;
    this.headers = envelope.headers;
    this.time = envelope.time;
    this.subscription = fields.subscription;
    this.attempt = fields.attempt;
    this.isRedelivery = fields.isRedelivery;
    this.deadlineAt = fields.deadlineAt;
    this.correlationId = envelope.correlationId;
    this.causationId = envelope.causationId;
    this.sagaId = envelope.sagaId;
    this.makeSignal = fields.signal;
    this.madeKey = fields.idempotencyKey;
    this.undoes = fields.undoes;
  }

  /** Aborted at the handler's time-out, when the lease is lost, and when stopping reaches its deadline; its reason is the error that says which. */
  get signal(): AbortSignal {
    this.madeSignal ??= this.makeSignal();
    return this.madeSignal;
  }

  /** Stable over attempts, for the idempotency header of a foreign API: 32 letters and digits, different for each subscription of the message. */
  get idempotencyKey(): string {
    // Whatever id it comes under: a request is undone once.
    this.madeKey ??= idempotencyKeyOf(this.subscription, this.source, this.undoes?.id ?? this.id);
    return this.madeKey;
  }
}

/** Makes a delivery; for the engine and for tests, users get theirs as an argument. */
export function createDelivery(fields: DeliveryFields): Delivery {
  return construct(fields);
}

/** The request of a message to another subscription, as it is told to whoever undoes it. */
export function undoneRequest(subscription: string, { source, compensates }: Envelope): UndoneRequest | undefined {
  return compensates === undefined ? undefined : { id: compensates, idempotencyKey: idempotencyKeyOf(subscription, source, compensates) };
}

/** Hashed, because a foreign API limits the length and the characters of its header, and a name within may say more than it should. */
function idempotencyKeyOf(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}
