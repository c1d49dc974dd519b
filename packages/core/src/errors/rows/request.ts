import type { ErrorRows } from './row.js';

/** Errors of commands, requests and their replies. */
export const REQUEST_ERRORS = {
  HF_REQUEST_TIMEOUT: {
    category: 'transient',
    sentence: 'No reply to {type} {id} came within {timeoutMs} ms.',
    fix: 'The command may still be handled. Ask again with the same id, which a handler with @Idempotent answers without doing it twice, or give it a longer timeout.',
  },
  HF_REQUEST_REJECTED: {
    category: 'permanent',
    sentence: '{type} was rejected: {reason}.',
    fix: 'Its handler will not be called again for this request: details.code, and details.details of its NonRetryableError, say more.',
  },
  HF_REQUEST_IN_TRANSACTION: {
    category: 'permanent',
    sentence:
      'A reply to {type} cannot be waited for inside a unit of work: it is sent with the commit, which would have to wait for the reply.',
    fix: 'Ask before or after the transaction; or use bus.send() in it, and let the handler publish what became of it.',
  },
  HF_REQUEST_LIMIT: {
    category: 'transient',
    sentence: '{type} was not sent: {limit} requests of this process wait for their replies already.',
    fix: 'Look for a service that does not answer, shorten the timeout of requests, or raise requestLimit.',
  },
  HF_REPLY_UNSENDABLE: {
    category: 'permanent',
    sentence: '{type} {id} was handled, but its reply could not be sent: {reason}.',
    fix: 'Return less from the handler, or a reference; what it did is done.',
  },
  HF_REPLY_UNREADABLE: {
    category: 'contract',
    sentence: 'The reply to {type} {id} cannot be read: {reason}.',
    fix: 'Send JSON in UTF-8 within the limits of this service; what the handler did is done.',
  },
  HF_COMMAND_UNROUTABLE: {
    category: 'permanent',
    sentence: 'No service handles {type}: the broker has no queue for {id}.',
    fix: 'Start the service that owns the command once, so that its queue is made, or look for a typing error in the type.',
  },
} as const satisfies ErrorRows;
