import type { ErrorRows } from './row.js';

/** Errors of units of work. */
export const UNIT_ERRORS = {
  HF_UOW_ENDED: {
    category: 'permanent',
    sentence: 'A statement or a publish came after its unit of work had ended.',
    fix: 'Await everything inside the unit, or use unit.detached() for what shall outlive it.',
  },
  HF_UOW_NONE: {
    category: 'permanent',
    sentence: '{call} was called outside any unit of work.',
    fix: 'Put @Transactional() on the method, or use unit.run().',
  },
  HF_UOW_NOT_OWNED: {
    category: 'permanent',
    sentence: '{call} is not possible in a transaction that was opened outside Holdfast.',
    fix: 'You commit, so do it after your own commit; or let unit.run() open the transaction.',
  },
  HF_UOW_CONTROL: {
    category: 'permanent',
    sentence: '{call} was called on the query runner of a unit of work, which begins and ends its transaction itself.',
    fix: 'Let @Transactional() or unit.run() bound it; for a part that can be undone alone use transaction(), a savepoint here, and for a transaction apart a runner from createQueryRunner().',
  },
  HF_UOW_JOIN_HANDLE: {
    category: 'permanent',
    sentence: 'What was given to unit.join() is no open transaction of this store that can be joined now: {value}.',
    fix: 'Give the manager you got inside dataSource.transaction(), and join it once around all that is to run side by side.',
  },
  HF_UOW_ROLLBACK_ONLY: {
    category: 'transient',
    sentence: 'The unit of work was rolled back instead of committed, because the database had given its transaction up: {reason}.',
    fix: 'Do not swallow a database error inside a unit: let it through, or put the statement behind a savepoint (propagation NESTED).',
  },
  HF_UOW_COMMIT_UNKNOWN: {
    category: 'outcome',
    sentence:
      'The connection broke during COMMIT on {dataSource}: the unit of work is committed or rolled back, and nobody here knows which.',
    fix: 'Look at the rows before doing it again, or make the method idempotent.',
  },
  HF_UOW_TIMEOUT: {
    category: 'transient',
    sentence: 'The unit of work was rolled back after its time-out of {timeoutMs} ms.',
    fix: 'Do slow calls to others outside the unit, or give it a longer timeout.',
  },
  HF_UOW_HOOK_TIMEOUT: {
    category: 'transient',
    sentence:
      'A hook ({hook}) took longer than {timeoutMs} ms and is not waited for any more; its unit of work had ended and stays as it is.',
    fix: 'Give the calls in it a time-out of their own, and leave long work to the handler of a message that the unit publishes.',
  },
  HF_UOW_OPTIONS_DIFFER: {
    category: 'permanent',
    sentence: 'A unit of work cannot be joined with another {option}: it has {actual}, asked for was {wanted}.',
    fix: "Give both methods the same option, or the inner one propagation: 'REQUIRES_NEW'.",
  },
  HF_UOW_PROTOCOL: {
    category: 'configuration',
    sentence: 'There is no protocol {protocol} for a unit of work; known are: {known}',
    fix: 'Use one of these, or leave protocol out: the outbox is the default.',
  },
  HF_HALF_MESSAGE_OPTION: {
    category: 'permanent',
    sentence: "{feature} is not possible in a unit of work with protocol: 'half-message'.",
    fix: "Leave it out, or use the default protocol, 'outbox', for this method.",
  },
  HF_HALF_MESSAGE_SERVER: {
    category: 'transient',
    sentence:
      'The unit of work {unit} was rolled back: its COMMIT went to another database server than its messages had been registered on.',
    fix: 'Do it again: after a fail-over all connections reach the new server within seconds. If it goes on, look for a proxy that shares connections out among several primaries.',
  },
  HF_HALF_MESSAGE_ROLLED_BACK: {
    category: 'transient',
    sentence:
      'The unit of work {unit} was rolled back: its COMMIT came so long after its messages had been registered that another process has decided against it.',
    fix: 'Do it again. When it happens often, look for what stops this process in between: a blocked event loop, a frozen machine.',
  },
  HF_UOW_PROPAGATION: {
    category: 'permanent',
    sentence: 'Propagation {propagation} refused the call: {reason}.',
    fix: 'Call the method as its propagation asks, or change the propagation.',
  },
  HF_UOW_STREAM_RETURNED: {
    category: 'permanent',
    sentence: '{method} returned {value}, which would go on after its unit of work has ended.',
    fix: 'Collect the rows and return them, or read the stream outside the unit.',
  },
  HF_UOW_READ_ONLY: {
    category: 'permanent',
    sentence: '{call} is not possible in a read-only unit of work.',
    fix: 'Remove readOnly: true, or do the write in another unit.',
  },
  HF_UOW_DATA_SOURCE: {
    category: 'configuration',
    sentence: 'There is no DataSource named {dataSource}; known are: {known}',
    fix: 'Use one of these names, or add it to the dataSources of the store.',
  },
  HF_UOW_RETRIES_JOINED: {
    category: 'permanent',
    sentence: 'The option retries was given to a method that joins a unit of work, where only the outermost method can run again.',
    fix: "Move retries to the outermost method, or give this one propagation: 'REQUIRES_NEW'.",
  },
  HF_UOW_KAFKA_HANDLER: {
    category: 'permanent',
    sentence: '{call} asks for a Kafka transaction, which begins with the message that a handler consumed.',
    fix: "Put @Transactional with the protocol 'kafka' on a method with @OnMessage, which the bus calls; elsewhere use @Transactional(), whose messages leave through the outbox.",
  },
  HF_UOW_KAFKA_DATABASE: {
    category: 'permanent',
    sentence: '{call} is not possible inside a Kafka transaction: no database commits with it.',
    fix: 'Where rows and messages have to agree, handle the message with @Idempotent() and @Transactional(). What stands by itself, also when the Kafka transaction is undone, goes into unit.detached().',
  },
} as const satisfies ErrorRows;
