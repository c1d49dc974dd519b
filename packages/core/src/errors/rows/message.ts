import type { ErrorRows } from './row.js';

/** Errors of messages and of the calls that publish them. */
export const MESSAGE_ERRORS = {
  HF_MESSAGE_UNDECLARED: {
    category: 'permanent',
    sentence: '{class} is not declared as a message.',
    fix: "Put @Message('<type>') on the class itself; a declaration is not inherited.",
  },
  HF_MESSAGE_INVALID: {
    category: 'contract',
    sentence: 'The data of {type} is not valid: {issues}',
    fix: 'Make the data fit the message class and its schema.',
  },
  HF_MESSAGE_TOO_LARGE: {
    category: 'contract',
    sentence: 'The body of {type} has {bytes} bytes, the limit is {limit}.',
    fix: 'Keep the large part elsewhere and send a reference to it, or raise the limit: bodyBytes on every service, or max_message_size of RabbitMQ, max.message.bytes of Kafka.',
  },
  HF_MESSAGE_VERSION: {
    category: 'contract',
    sentence: 'Version {version} of {type} cannot be brought to version {known}, the one {class} declares.',
    fix: 'Add the missing upcast, or deploy the service that knows the newer version first.',
  },
  HF_MESSAGE_UNREADABLE: {
    category: 'contract',
    sentence: '{part} cannot be read: {reason}.',
    fix: 'Send a JSON object in UTF-8, and attributes as CloudEvents has them; what is parked can be looked at with deadLetters.get().',
  },
  HF_MESSAGE_FOREIGN: {
    category: 'contract',
    sentence: 'The message sent to {address} cannot be read: {reason}.',
    fix: 'Send CloudEvents, or correct the option readForeign and redrive what is parked: it is read anew.',
  },
  HF_MESSAGE_UNKNOWN_TYPE: {
    category: 'contract',
    sentence: 'The type {type} is none of those this subscription handles: {known}',
    fix: 'Name its class in the subscription, or stop routing it there.',
  },
  HF_MESSAGE_ID: {
    category: 'contract',
    sentence: '{part} cannot be used: {reason}.',
    fix: 'Give a text of 1 to {limit} characters, with no NUL and no half of a surrogate pair in it.',
  },
  HF_MESSAGE_HEADERS: {
    category: 'contract',
    sentence: 'The headers of a message cannot be used: {reason}.',
    fix: 'Send fewer or shorter headers, text only; what is large belongs in the body.',
  },
  HF_MESSAGE_TIME: {
    category: 'permanent',
    sentence: 'The time of a message cannot be used: {reason}.',
    fix: "Give delay, a length of time such as '30s', or at, a Date; not both.",
  },
  HF_MESSAGE_TYPE_TAKEN: {
    category: 'configuration',
    sentence: 'Two classes of one subscription declare the type {type}: {classes}.',
    fix: 'Name only one of them, or make two subscriptions.',
  },
  HF_MESSAGE_KIND: {
    category: 'permanent',
    sentence: '{type} cannot be given to bus.{verb}().',
    fix: 'Use bus.{right}(): events are published, commands (classes that extend Command) are sent.',
  },
  HF_PUBLISH_FAILED: {
    category: 'transient',
    sentence: '{type} {id} was not accepted by the broker: {outcome}.',
    fix: 'Unknown means that the broker may have it or not: publish it again with the same id. Rejected means that a queue takes no more. With a store Holdfast repeats both.',
  },
  HF_PUBLISH_CROWDED: {
    category: 'transient',
    sentence:
      '{type} was not published, because {waiting} messages of this process, with bodies of {bytes} bytes, wait for the broker already.',
    fix: 'Await each publish, or publish less while the broker is slow; with a store messages wait in the outbox.',
  },
  HF_DESTINATION_UNKNOWN: {
    category: 'permanent',
    sentence: 'The destination {destination} names a transport that is not registered; registered are: {known}',
    fix: "Register the transport under that name, or write '<transport>:<address>' with one that is.",
  },
  HF_DESTINATION_ADDRESS: {
    category: 'permanent',
    sentence: 'The destination {destination} cannot be used: {reason}.',
    fix: "Write '<transport>:<address>', or an address on the default transport; without a destination a message goes to its type there.",
  },
  HF_OUTSIDE_TRANSACTION: {
    category: 'permanent',
    sentence: '{type} was published outside any unit of work, after a write: {site}.',
    fix: "Put @Transactional() on the method so that both commit together. Where they have nothing to do with each other, publish in unit.detached(), or set outsideTransaction: 'warn'.",
  },
} as const satisfies ErrorRows;
