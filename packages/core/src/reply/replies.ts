import { leaveWith, type Outlet } from '../bus/outlet-bus.js';
import { unstorable } from '../message/storable.js';
import type { Incoming } from '../delivery/intake.port.js';
import type { OpenedMessage } from '../delivery/opened-message.js';
import type { Envelope } from '../message/envelope.js';
import type { MessageLimits } from '../message/limits.js';
import { uuidv7 } from '../message/uuid.js';
import type { Logger } from '../monitoring/logger.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import { isSagaReplyType } from '../saga/saga-messages.js';
import { type Answer, answerWith, bodyOf, keptText, refusalFor, UNSENDABLE } from './answer.js';

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
    const envelope = replyOf(request as Asked, answer, this.context);
    await leaveWith(this.outlet, { envelope, transport, due: undefined, message: {}, options: {} });
  }

  /** Tells whoever asked, if anybody did, that a message will not be handled. */
  async refuse(
    { incoming, envelope }: Pick<OpenedMessage, 'incoming' | 'envelope'>,
    error: unknown,
    { transport }: { readonly transport: string },
  ): Promise<void> {
    const asked = envelope ?? askedIn(incoming, this.context.limits);
    if (asked !== undefined) await this.give(asked, this.refusalFor(error), transport);
  }
}

/** The message that answers a request: to one that waits for it, or to a saga, whose service gets it like any event. */
export function replyOf(
  request: Asked,
  answer: Answer,
  { service, clock, random }: Pick<RepliesContext, 'service' | 'clock' | 'random'>,
): Envelope {
  const isForSaga = isSagaReplyType(request.replyTo);
  return {
    ...(isForSaga
      ? { type: request.replyTo, body: Buffer.from(keptText(answer) ?? '{}') }
      : { ...bodyOf(answer), destination: request.replyTo }),
    id: uuidv7(clock, random),
    source: service,
    version: 1,
    time: clock.now(),
    headers: NO_HEADERS,
    correlationId: request.correlationId,
    causationId: request.id,
    sagaId: request.sagaId,
    kind: isForSaga ? 'event' : 'reply',
    contentType: 'application/json',
  };
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
