import type { Outlet } from '../bus/outlet-bus.js';
import type { Outgoing } from '../bus/outgoing.js';
import { unstorable } from '../message/storable.js';
import type { Incoming } from '../delivery/intake.port.js';
import type { OpenedMessage } from '../delivery/opened-message.js';
import type { Envelope } from '../message/envelope.js';
import type { MessageLimits } from '../message/limits.js';
import { uuidv7 } from '../message/uuid.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import { type Answer, answerWith, bodyOf, refusalFor, UNSENDABLE } from './answer.js';

/** What an answer needs to know of its request. */
export type Asked = Pick<Envelope, 'id' | 'type' | 'correlationId' | 'sagaId'> & { readonly replyTo: string };

/** What making replies needs. */
export interface RepliesContext {
  readonly service: string;
  readonly limits: MessageLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * The answering end of requests. A reply is a message like any other: inside a unit of work it leaves with its commit, so a handler that committed
 * has answered, and one that was rolled back has not.
 */
export class Replies {
  constructor(
    private readonly context: RepliesContext,
    private readonly outlet: Outlet,
  ) {}

  /** The answer with what the handler of a message returned. */
  answerWith(type: string, value: unknown): Answer {
    const answer = answerWith(value, this.context.limits);
    if ('refusal' in answer && answer.refusal.code === UNSENDABLE)
      this.context.logger.warn('a reply cannot be sent; the requester is told', { type, reason: answer.refusal.message });
    return answer;
  }

  /** The answer after a failure that is final. */
  refusalFor(error: unknown): Answer {
    return refusalFor(error, this.context.limits);
  }

  /** Answers, if anybody waits, over the transport on which the request came: in the unit in scope, or without a store at once. */
  async give(request: Envelope | Asked, answer: Answer, transport: string): Promise<void> {
    if (request.replyTo === undefined) return;
    const reply = { ...this.replyTo(request as Asked, answer), transport };
    await this.outlet.accept(reply);
    const { id, source, type, key, destination, kind, body } = reply.envelope;
    emit('message:published', () => ({ id, source, type, key, kind, transport, destination, bytes: body.byteLength }));
  }

  /** Tells whoever asked, if anybody did, that a message will not be handled. */
  async refuse({ incoming, envelope }: Pick<OpenedMessage, 'incoming' | 'envelope'>, error: unknown, transport: string): Promise<void> {
    const asked = envelope ?? askedIn(incoming, this.context.limits);
    if (asked !== undefined) await this.give(asked, this.refusalFor(error), transport);
  }

  private replyTo(request: Asked, answer: Answer): Omit<Outgoing, 'transport'> {
    const { service, clock, random } = this.context;
    const envelope: Envelope = {
      ...bodyOf(answer),
      id: uuidv7(clock, random),
      source: service,
      version: 1,
      time: clock.now(),
      destination: request.replyTo,
      headers: NO_HEADERS,
      correlationId: request.correlationId,
      causationId: request.id,
      sagaId: request.sagaId,
      kind: 'reply',
      contentType: 'application/json',
    };
    return { envelope, due: undefined, message: {}, options: {} };
  }
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze(Object.create(null));

/** The request in a message that may be damaged elsewhere: whoever waits for it must be told too. */
function askedIn({ type, attributes }: Incoming, { idLength }: MessageLimits): Asked | undefined {
  try {
    const from = (JSON.parse(attributes) ?? {}) as Readonly<Record<string, unknown>>;
    const text = (name: string) => (unstorable(from[name], idLength) === undefined ? (from[name] as string) : undefined);
    const [id, replyTo] = [text('id'), text('replyto')];
    if (id === undefined || replyTo === undefined) return undefined;
    return { id, type, replyTo, correlationId: text('correlationid') ?? id, sagaId: text('sagaid') };
  } catch {
    return undefined;
  }
}
