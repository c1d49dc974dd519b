import { describeFailure } from '../errors/describe-failure.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import { failureFacts } from './handler-call.js';
import { identityOf, isReadable, type OpenedMessage } from './opened-message.js';

/** How a message was given up that no store keeps. */
export interface GivenUp {
  readonly subscription: string;
  /** Attempts that were made; 0 for what nobody could read. */
  readonly attempts: number;
  readonly error: unknown;
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
