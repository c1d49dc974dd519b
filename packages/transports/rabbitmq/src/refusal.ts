import { hfError } from '@holdfast/core';
import type { Connection } from './connection.js';
import type { Outgoing } from './publisher.js';

/** What was published cannot be taken as it is: it is too large, or a queue refused a commit. */
const PRECONDITION_FAILED = 406;
const TOO_LARGE = /message size \d+ is larger than (?:configured )?max size (\d+)/;

/** What is known of a message once it was written. */
export interface Written {
  readonly bytes: number;
}

/**
 * Which messages the broker takes, learned from how it closes a channel: for one message it closes it for all that are on their way. What is too large it
 * says in bytes (its `max_message_size`), which holds until it is connected to anew, and nothing larger is sent to it again.
 */
export class Refusal {
  private connection: Connection | undefined;
  private largestBytes = Number.POSITIVE_INFINITY;

  /** There is a channel again. */
  opened(connection: Connection): void {
    if (connection !== this.connection) this.largestBytes = Number.POSITIVE_INFINITY;
    this.connection = connection;
  }

  /** @throws HF_MESSAGE_TOO_LARGE */
  check({ about: { type } }: Outgoing, { byteLength: bytes }: Buffer): void {
    if (bytes > this.largestBytes) throw hfError('HF_MESSAGE_TOO_LARGE', { type, bytes, limit: this.largestBytes });
  }

  /** Of the messages that had no answer when their channel ended, those of which it is certain that the broker does not have them, and never will. */
  of<W extends Written>(error: unknown, written: readonly W[]): readonly W[] {
    const { code, message = '' } = (error ?? {}) as { readonly code?: unknown; readonly message?: string };
    if (code !== PRECONDITION_FAILED) return [];
    const [, largest] = TOO_LARGE.exec(message) ?? [];
    if (largest === undefined) return written.length === 1 ? written : [];
    this.largestBytes = Number(largest);
    // Also of one that was alone: the broker may speak of another one that nobody waits for any more.
    return written.filter(({ bytes }) => bytes > this.largestBytes);
  }
}
