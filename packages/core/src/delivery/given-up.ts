import { describeFailure } from '../errors/describe-failure.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import { failureFacts } from './handler-call.js';
import { identityOf, isReadable, nameOf, type OpenedMessage, type ReadableMessage } from './opened-message.js';
import type { HandlerCallContext } from './handling-context.js';

/** An end of a message that is no success. */
export interface Ended {
  readonly subscription: string;
  /** Attempts that were made; 0 for what nobody could read. */
  readonly attempts: number;
  readonly error: unknown;
}

/** How a message was given up that no store keeps. */
export interface GivenUp extends Ended {
  /** What has become of it, as the end of a sentence. */
  readonly keeper: string;
}

/** Tells people and events of a message that was given up. */
export function tellGivenUp(logger: Logger, message: OpenedMessage, { subscription, attempts, error, keeper }: GivenUp): void {
  const { incoming } = message;
  const { id, source } = identityOf(message) ?? { id: undefined, source: undefined };
  const { code, message: reason } = describeFailure(error);
  const { type, attributes } = incoming;
  logger.error(`a message was given up, and ${keeper}`, { subscription, type, id, attempts, code, reason, attributes });
  const about = { source, type, subscription, ...failureFacts(error) };
  if (isReadable(message))
    emit('delivery:dead-lettered', () => ({
      ...about,
      id: id ?? '',
      source: source ?? '',
      key: message.envelope.key,
      attempt: attempts,
    }));
  else emit('message:invalid', () => ({ ...about, id, key: message.envelope?.key, attempt: attempts, bytes: incoming.body.byteLength }));
}

/** Tells people and events of a message that its handler refused, and whose sender has that as the answer: it speaks against nobody. */
export function tellRefused(
  { logger, failures }: Pick<HandlerCallContext, 'logger' | 'failures'>,
  message: ReadableMessage,
  { subscription, attempts, error }: Ended,
): void {
  const { id, source, type, key } = message.envelope;
  const { code, message: reason } = describeFailure(error);
  logger.info('a request was refused', { subscription, type, id, attempts, code, reason });
  emit('delivery:refused', () => ({ id, source, type, key, subscription, attempt: attempts, ...failureFacts(error) }));
  failures.succeeded(nameOf(message));
}
