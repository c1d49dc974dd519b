import type { ErrorRows } from './row.js';

/** Errors of handlers, subscriptions, idempotency and what operators do with them. */
export const DELIVERY_ERRORS = {
  HF_HANDLER_TIMEOUT: {
    category: 'transient',
    sentence: 'The handler of {subscription} took longer than {timeoutMs} ms.',
    fix: 'Pass delivery.signal to slow calls, or give the subscription a longer timeout.',
  },
  HF_HANDLER_CUT_OFF: {
    category: 'transient',
    sentence: 'An interceptor around {handler} went on before the handler had ended.',
    fix: 'Let it wait for the handler, or throw: a handler that goes on does the rest of its work when its unit of work has ended, which refuses it.',
  },
  HF_HANDLER_UNSETTLED_KILLED: {
    category: 'permanent',
    sentence: 'The process ended while {subscription} had this message in work, and its {attempts} attempts are used up.',
    fix: 'Find out what ends the process (memory, an exit, an uncaught error), then redrive the dead letter.',
  },
  HF_HANDLER_UNSETTLED_OFTEN: {
    category: 'permanent',
    sentence:
      '{subscription} was given this message {times} times before, and each time its process or its connection ended with the message in hand.',
    fix: 'Find out what ends the process (memory, an exit, an uncaught error), then move the message from the dead-letter queue back to its own.',
  },
  HF_HANDLER_ATTEMPTS_LOWERED: {
    category: 'permanent',
    sentence: '{subscription} has made {attempts} attempts at this message, and now makes {limit} at most.',
    fix: 'The dead letter keeps its last failure: mend that and redrive it.',
  },
  HF_IDEMPOTENT_KEY_MISSING: {
    category: 'configuration',
    sentence: '{method} has @Idempotent() without a key and is not a handler, so it has no message id to go by.',
    fix: 'Give a key: @Idempotent({{ key: (...args) => ... }}).',
  },
  HF_IDEMPOTENT_KEY_INVALID: {
    category: 'permanent',
    sentence: 'The idempotency key of {method} cannot be used: {reason}.',
    fix: 'Return a text of 1 to {limit} characters, with no NUL and no half of a surrogate pair in it.',
  },
  HF_IDEMPOTENT_IN_PROGRESS: {
    category: 'conflict',
    sentence: 'Another call with the idempotency key {key} has not ended yet.',
    fix: 'Try again later: it then gets the stored result.',
  },
  HF_IDEMPOTENT_EXPIRED: {
    category: 'permanent',
    sentence: 'The message was published at {time}, longer ago than repeats are remembered ({ttlMs} ms), so it cannot be proven new.',
    fix: "Redrive it if it was never handled; a longer ttl, or onExpired: 'handle', avoids this.",
  },
  HF_ORDERING_KEY_MISSING: {
    category: 'contract',
    sentence: '{type} came without an ordering key, and {subscription} keeps the order of keys.',
    fix: "Publish it with {{ key }}, or subscribe with ordering: 'none'.",
  },
  HF_SUBSCRIPTION_DUPLICATE: {
    category: 'configuration',
    sentence: 'Two handlers have the subscription name {name}: {handlers}',
    fix: 'Give each handler a name of its own.',
  },
  HF_SUBSCRIPTION_MISSING: {
    category: 'configuration',
    sentence: 'This service has a subscription named {name}, and neither this version nor any running node has a handler for it.',
    fix: "If it was renamed, write formerly: '{name}' on the new one; if it is meant to be gone, retire it: holdfast subscriptions retire {name}; if not, roll back to the version that had it.",
  },
  HF_SUBSCRIPTION_IN_USE: {
    category: 'permanent',
    sentence: 'The subscription {name} cannot be retired, because a running node serves it: {nodes}',
    fix: 'Deploy the version without its handler everywhere first.',
  },
  HF_SUBSCRIPTION_UNKNOWN: {
    category: 'permanent',
    sentence: 'There is no subscription named {name}.',
    fix: 'Look at subscriptions.list() for the names there are.',
  },
  HF_SUBSCRIPTION_RETIRED: {
    category: 'permanent',
    sentence: 'The subscription {name} is retired: nobody takes its messages.',
    fix: 'To have it back start a process that has its handler, and redrive its dead letters then; if it is meant to be gone, discard them.',
  },
  HF_STOPPING: {
    category: 'cancelled',
    sentence: 'Holdfast is stopping: {activity} was given up.',
    fix: 'Nothing is lost: it goes on where Holdfast runs next. What you called was not done here; publish it there.',
  },
  HF_OPERATOR_REASON: {
    category: 'permanent',
    sentence: '{action} needs {field}, which is written to the audit table.',
    fix: 'Say who does it in by, and why in reason.',
  },
  HF_OPERATOR_FILTER: {
    category: 'permanent',
    sentence: 'The filter names nothing, so it would choose every dead letter.',
    fix: 'Give an id, or a filter with at least one field, such as subscription.',
  },
  HF_OPERATOR_PAGE: {
    category: 'permanent',
    sentence: 'The {what} of a page cannot be used: {value}.',
    fix: 'Give a limit from 1 to 1000, and as cursor the next of the page before.',
  },
  HF_DEAD_LETTER_UNKNOWN: {
    category: 'permanent',
    sentence: 'There is no dead letter {id}.',
    fix: 'It may have been redriven, discarded, or undone by its saga already: look at deadLetters.list().',
  },
  HF_DEAD_LETTER_RETIRED: {
    category: 'permanent',
    sentence: 'Nobody would take these dead letters again, because their subscription is retired: {names}',
    fix: 'Bring the subscription back, by a process that has its handler, and redrive them then; or discard them.',
  },
  HF_PARKED_UNKNOWN: {
    category: 'permanent',
    sentence: 'There is no parked message {id}.',
    fix: 'It may have been sent or discarded already: look at outbox.parked().',
  },
  HF_TEST_NOT_SETTLED: {
    category: 'transient',
    sentence: 'After {timeoutMs} ms of real time there was still work in flight: {inFlight}',
    fix: 'Look for a promise that is never settled; work that waits for a timer needs clock.advance().',
  },
} as const satisfies ErrorRows;
