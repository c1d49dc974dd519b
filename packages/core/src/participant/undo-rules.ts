import type { ReadableMessage } from '../delivery/opened-message.js';
import type { RequestMemory } from '../inbox/inbox.store.port.js';
import type { Envelope } from '../message/envelope.js';
import type { Clock } from '../time/clock.js';

/** What is known when a request is to be undone. */
export interface UndoTerms {
  readonly memory: RequestMemory;
  /** Its saga has seen the reply, or a person says so. */
  readonly isKnownToHaveRun: boolean;
  /** It is so old that nothing need be remembered of it although it ran. */
  readonly mayBeForgotten: boolean;
}

/** `undo`: the handler is called; `needless`: there is nothing to undo; `wait`: the request is in work; `unknown`: nobody here can tell. */
export type UndoVerdict = 'undo' | 'needless' | 'wait' | 'unknown';

/**
 * Decides what becomes of a compensation. Pure.
 *
 * **Guarantee:** `needless` only for a request that left nothing behind, or is undone; what was begun outside any transaction may have had its effect, and
 * is undone.
 *
 * @source the cases of Seata's "empty rollback" and "suspension", with a memory that says what it means
 */
export function decideUndo({ memory, isKnownToHaveRun, mayBeForgotten }: UndoTerms): UndoVerdict {
  switch (memory) {
    case 'claimed':
      return 'wait';
    case 'done':
    case 'begun':
    case 'undoing':
      return 'undo';
    case 'compensated':
      return 'needless';
    case 'cancelled':
      return isKnownToHaveRun ? 'undo' : 'needless';
    case 'none':
      if (isKnownToHaveRun) return 'undo';
      return mayBeForgotten ? 'unknown' : 'needless';
  }
}

/** True for what a saga asks of another service, which it may want undone. */
export function isStepRequest({ sagaId, replyTo, compensates }: Pick<Envelope, 'sagaId' | 'replyTo' | 'compensates'>): boolean {
  return sagaId !== undefined && replyTo !== undefined && compensates === undefined;
}

/**
 * How long ago a message was published: by the store's clock where that wrote it, else by the clocks of both processes. What a saga asks for says when it asked
 * first, and is written anew each time: the older of the two counts.
 */
export function ageMsOf({ incoming, envelope }: Pick<ReadableMessage, 'incoming' | 'envelope'>, clock: Clock): number {
  const { sagaId, replyTo, time, dueAt = time } = envelope;
  const { ageMs, writtenAt = dueAt } = incoming;
  const sinceMs = (moment: Date) => clock.now().getTime() - moment.getTime();
  const writtenMs = ageMs === undefined ? sinceMs(writtenAt) : ageMs + clock.aheadOfDatabaseMs();
  return sagaId === undefined || replyTo === undefined ? writtenMs : Math.max(writtenMs, sinceMs(dueAt));
}

/** The same of the request that a message undoes; that of the message where nobody tells when the request was published. */
export function requestAgeMsOf(message: Pick<ReadableMessage, 'incoming' | 'envelope'>, clock: Clock): number {
  const { time, compensatesTime = time } = message.envelope;
  return ageMsOf(message, clock) + Math.max(0, time.getTime() - compensatesTime.getTime());
}
