import type { ErrorRows } from './row.js';

/** Errors of brokers and of the connections to them. */
export const BROKER_ERRORS = {
  HF_BROKER_UNREACHABLE: {
    category: 'transient',
    sentence: 'The broker at {address} could not be reached: {reason}.',
    fix: 'Start it, or correct the address; it is tried again and again, except when the bus could not start.',
  },
  HF_BROKER_REFUSED: {
    category: 'configuration',
    sentence: 'The broker at {address} refuses this service: {reason}.',
    fix: 'Correct user, password and virtual host, and give the user the right to configure, write and read.',
  },
  HF_BROKER_FORBIDDEN: {
    category: 'configuration',
    sentence: 'The user of this service may not publish to the exchange {exchange} of RabbitMQ.',
    fix: 'Give it the right to write to that exchange (replies and dead letters go through amq.default), and close its connections or start the service again.',
  },
  HF_BROKER_TOPOLOGY: {
    category: 'configuration',
    sentence: 'What this service needs at the broker is not there as it is needed: {problems}',
    fix: 'Delete or change what is different, with the service stopped and the queue empty, or name another exchange or prefix; a right that is missing has to be given.',
  },
  HF_BROKER_UNANSWERED: {
    category: 'transient',
    sentence: 'The broker did not answer {request} within {timeoutMs} ms.',
    fix: 'Nothing to do if it was restarted: the connection was given up and is made again. Else look at its load, its alarms and the network.',
  },
  HF_BROKER_DEAD_LETTER: {
    category: 'transient',
    sentence: 'A dead letter of {subscription} could not be put into {queue}: it is {outcome}.',
    fix: 'It stays in hand and is tried again; look whether the queue is there and takes messages.',
  },
  HF_BROKER_LIMIT: {
    category: 'permanent',
    sentence: 'The message {id} of type {type} is more than the broker takes: {problem}.',
    fix: 'It is parked: discard it, or publish it again with less.',
  },
  HF_BROKER_CONSUMER_CANCELLED: {
    category: 'transient',
    sentence: 'The broker has ended the consumer of {subscription}: its queue {queue} was deleted, or moved to another node.',
    fix: 'Nothing to do if it was moved. A queue that was deleted is gone with its messages, and is only made again with topology assert.',
  },
  HF_BROKER_TRANSACTION: {
    category: 'transient',
    sentence: 'A Kafka transaction of {place} was not committed: {reason}.',
    fix: 'Nothing of it can be read, and its messages are handled again. If it happens often, look whether partitions go from process to process, and at the load of the broker.',
  },
} as const satisfies ErrorRows;
