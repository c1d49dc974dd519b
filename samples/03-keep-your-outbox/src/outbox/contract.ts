// Stands for `@nestjs/outbox`: what its documentation says of messages and transports, in our own words.

/** A message of the outbox, as transports get it. */
export interface OutboxMessage {
  readonly id: string;
  readonly topic: string;
  readonly payload: unknown;
  readonly headers: Readonly<Record<string, string>>;
  readonly key: string | null;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Attempts that failed so far. */
  readonly attempts: number;
}

/** Hands a message to a broker. Resolved means accepted; thrown means another attempt, unless it is a NonRetryableMessageError. */
export abstract class OutboxTransport {
  abstract publish(message: OutboxMessage, options: { signal: AbortSignal }): Promise<void>;
}

/** Ends the attempts at a message. The relay knows it by its class. */
export class NonRetryableMessageError extends Error {
  override readonly name = 'NonRetryableMessageError';
}
