import type { ErrorRows } from './row.js';

/** Errors of the other end of a saga's step: of requests that were undone, and of what undoes them. */
export const PARTICIPANT_ERRORS = {
  HF_REQUEST_UNDONE: {
    category: 'permanent',
    sentence:
      'The request {id} of the saga {sagaId} came to {subscription} after it had been undone, or refused for good, and was dropped.',
    fix: 'Nothing is to be done: it never ran, or what it did is undone. A saga that still wants it asks again, with a new message.',
  },
  HF_REQUEST_UNDONE_IN_WORK: {
    category: 'outcome',
    sentence: '{subscription} was still at the request {id} of the saga {sagaId}, outside any transaction, when it was undone.',
    fix: 'Find out what it did by its idempotency key {idempotencyKey}, undo that by hand, and discard the dead letter; a longer lockTtl makes it rarer.',
  },
  HF_REQUEST_EXPIRED: {
    category: 'permanent',
    sentence:
      'The request {id} of the saga {sagaId} was published at {time}, longer ago than is remembered whether it was undone ({ttlMs} ms), so it is not handled.',
    fix: 'Discard this one, and look at the saga. One that has parked asks again under the same id, which is no younger: find out whether it was done, do by hand what is missing, and skip the step.',
  },
  HF_COMPENSATION_EXPIRED: {
    category: 'permanent',
    sentence:
      '{subscription} is to undo the request {request} of the saga {sagaId}, which is older than {step} remembers ({ttlMs} ms), so nobody can tell whether it ran.',
    fix: 'Find out: if it ran, redrive this, which calls the handler; if not, discard it. A longer ttl of both handlers avoids this.',
  },
  HF_COMPENSATION_UNGUARDED: {
    category: 'contract',
    sentence: '{subscription} is to undo the request {request} ({type}) of the saga {sagaId}, and does not undo such requests: {reason}.',
    fix: 'Put @Compensate(TheCommand) on its handler, in the service that handles TheCommand, and redrive this; or let the saga send another command.',
  },
} as const satisfies ErrorRows;
