import { hfError, type Logger } from '@holdfast/core';
import type { Connection } from './connection.js';
import type { Outgoing, Parcel } from './publisher.js';

/** What was published cannot be taken as it is: it is too large, or a queue refused a commit. */
const PRECONDITION_FAILED = 406;
const TOO_LARGE = /message size \d+ is larger than (?:configured )?max size (\d+)/;
/** The user has no right to what was published to. */
const ACCESS_REFUSED = 403;
const FORBIDDEN = /access to (?:topic '.*' in )?exchange '([^']+)'/s;
const OF_TOPIC = /access to topic '/;
/** What RabbitMQ calls the exchange that has no name, through which replies and dead letters go. */
const DEFAULT_EXCHANGE = 'amq.default';

/** What is known of a message once it was written. */
export interface Written {
  readonly bytes: number;
  /** To which it was published. */
  readonly exchange: string;
}

/**
 * Which messages the broker takes, learned from how it closes a channel: for one message it closes it for all that are on their way. What is too large it
 * says in bytes (its `max_message_size`), and that this user may not write to the default exchange. Both hold until it is connected to anew, and nothing of
 * that kind is sent to it again. Where nothing of the bus may be written, no message is to blame: all of them wait, as long as nothing else is confirmed meanwhile.
 */
export class Refusal {
  private connection: Connection | undefined;
  private largestBytes = Number.POSITIVE_INFINITY;
  /** This user may not write to the default exchange. */
  private isForbidden = false;

  constructor(private readonly logger: Logger) {}

  /** There is a channel again. */
  opened(connection: Connection): void {
    if (connection !== this.connection) {
      this.largestBytes = Number.POSITIVE_INFINITY;
      this.isForbidden = false;
    }
    this.connection = connection;
  }

  /** @throws HF_MESSAGE_TOO_LARGE, HF_BROKER_FORBIDDEN */
  check({ about: { type } }: Outgoing, { exchange, content: { byteLength: bytes } }: Pick<Parcel, 'exchange' | 'content'>): void {
    if (bytes > this.largestBytes) throw hfError('HF_MESSAGE_TOO_LARGE', { type, bytes, limit: this.largestBytes });
    if (this.isForbidden && exchange === '') throw hfError('HF_BROKER_FORBIDDEN', { exchange: DEFAULT_EXCHANGE });
  }

  /** Of the messages that had no answer when their channel ended, those of which it is certain that the broker does not have them, and never will. */
  of<W extends Written>(error: unknown, written: readonly W[]): readonly W[] {
    const { code, message = '' } = (error ?? {}) as { readonly code?: unknown; readonly message?: string };
    if (code === ACCESS_REFUSED) return this.forbid(message, alone(written));
    if (code !== PRECONDITION_FAILED) return [];
    const [, largest] = TOO_LARGE.exec(message) ?? [];
    if (largest === undefined) return alone(written);
    this.largestBytes = Number(largest);
    // Also of one that was alone: the broker may speak of another one that nobody waits for any more.
    return written.filter(({ bytes }) => bytes > this.largestBytes);
  }

  /** Those that were on their way with others are told from them when they are to be sent again. */
  private forbid<W extends Written>(text: string, suspects: readonly W[]): readonly W[] {
    const [, exchange] = FORBIDDEN.exec(text) ?? [];
    if (exchange === undefined) return [];
    this.logger.error('the user of this service may not publish to an exchange; give it the right', {
      exchange,
      right: 'write',
      said: text,
    });
    // A right to some topics is a right for some messages.
    if (OF_TOPIC.test(text)) return suspects;
    if (exchange !== DEFAULT_EXCHANGE) return [];
    this.isForbidden = true;
    return suspects.filter((each) => each.exchange === '');
  }
}

function alone<W>(written: readonly W[]): readonly W[] {
  return written.length === 1 ? written : [];
}
