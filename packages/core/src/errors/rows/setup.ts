import type { ErrorRows } from './row.js';

/** Errors of options, decorators and capabilities: what is wrong before the first message. */
export const SETUP_ERRORS = {
  HF_CONFIG_DURATION: {
    category: 'configuration',
    sentence: '{option} is not a length of time: {value}.',
    fix: "Give milliseconds as a number, or a whole number with a unit such as '250ms', '30s', '15m', '6h' or '7d', up to a hundred years.",
  },
  HF_CONFIG_INVALID: {
    category: 'configuration',
    sentence: 'The configuration is not valid: {problems}',
    fix: 'Correct all of this; nothing was started.',
  },
  HF_CONFIG_IN_MEMORY: {
    category: 'configuration',
    sentence: 'The {part} {name} keeps everything in memory, and NODE_ENV is production.',
    fix: 'Use one that survives a restart, or say allowInMemory: true to accept that messages are lost.',
  },
  HF_CAPABILITY_UNSUPPORTED: {
    category: 'configuration',
    sentence: '{feature} is not possible with {provider}.',
    fix: 'Leave it out, or choose a store or transport whose capabilities include it.',
  },
  HF_TRANSPORT_SWITCHED: {
    category: 'configuration',
    sentence: 'The log of this database was moved to a broker, and this process would read it, where nothing new is for it.',
    fix: 'Start it with the transport of the others.',
  },
  HF_TRANSPORT_MIXED: {
    category: 'configuration',
    sentence:
      'The log of this database is sent to a broker, and {names} has read it until now: where the one ends and the other begins is not known.',
    fix: 'Let it read everything with transport: database(), retire it, and give it another name with the new transport.',
  },
  HF_TRANSPORT_OTHER: {
    category: 'configuration',
    sentence:
      'This process would send the log of this database over {transport}, and {others} at work send it over another broker: each would send a part of the messages to its own.',
    fix: 'Use one broker for all services that share the log, or `transports` for two side by side; to change to another broker, stop the processes with the old one first.',
  },
  HF_TRANSPORT_MOVED: {
    category: 'configuration',
    sentence:
      'The messages of {names} go over another transport than the default now, and until now it has read the log, where some may be left.',
    fix: 'Keep a handler of that name without the destination until the log has nothing for it, then retire it; give the handler of the new transport another name.',
  },
  HF_TRANSPORT_SWITCH_REFUSED: {
    category: 'configuration',
    sentence: 'The log cannot be moved to {transport} yet: {problems}',
    fix: 'See to all of this and call it again; nothing was changed. `holdfast transport show` tells how it stands.',
  },
  HF_TRANSPORT_NEW: {
    category: 'configuration',
    sentence: 'The transport {name} has no lanes in the log of this database, and migrate is false.',
    fix: 'Run `holdfast transport add {name}` before the start, or set migrate: true.',
  },
  HF_TRANSPORT_NAME: {
    category: 'configuration',
    sentence: '{name} cannot be the name of a transport: {reason}.',
    fix: 'Use 1 to 40 of the signs a-z, A-Z, 0-9, _ and -, a letter first.',
  },
  HF_TRANSPORT_DISCARD: {
    category: 'configuration',
    sentence: 'What waits for the transport {name} cannot be discarded: {reason}.',
    fix: 'Discard what waits for a transport that no process has any more; `holdfast outbox show` tells which there are.',
  },
  HF_DECORATOR_TARGET: {
    category: 'configuration',
    sentence: '@{decorator} cannot stand on {target}: {reason}.',
    fix: 'Put it on an async method of a class.',
  },
  HF_DECORATOR_FOREIGN: {
    category: 'configuration',
    sentence: '{target} carries a @{decorator} that is not of Holdfast ({origin}).',
    fix: "Import it with: import {{ {decorator} }} from '@holdfast/nest'.",
  },
  HF_REPOSITORY_PATCHED: {
    category: 'configuration',
    sentence: 'Another package has already changed {target} of TypeORM ({origin}).',
    fix: 'Remove that package: two of them would run the same statement in two different transactions.',
  },
  HF_NEST_MODULE_MISSING: {
    category: 'configuration',
    sentence: '{target} needs Holdfast, and no HoldfastModule is registered in this application.',
    fix: 'Add HoldfastModule.forRoot({{ ... }}) to the imports of the root module.',
  },
  HF_NEST_SUBSCRIPTION_NAME: {
    category: 'configuration',
    sentence: '{target} handles {patterns} over Holdfast, and its subscription has no name.',
    fix: "Add @Durable({{ name: '...' }}), with a name that will survive refactoring. If another transport is meant to run it, say so: @EventPattern('order.placed', Transport.TCP).",
  },
  HF_NEST_PATTERN: {
    category: 'configuration',
    sentence: '{pattern} cannot be the pattern of {target}: {reason}.',
    fix: "Use the message's type, such as 'order.placed', or a plain object of at most 20 keys on 5 levels. A handler may list several patterns.",
  },
  HF_NEST_STRATEGY_MISSING: {
    category: 'configuration',
    sentence: '{target} has @Durable, and no microservice that HoldfastStrategy runs has it.',
    fix: 'Add @EventPattern, have the class among the controllers of a module, and before app.init() or app.listen(): app.connectMicroservice({{ strategy: app.get(HoldfastStrategy) }}).',
  },
  HF_NEST_STRATEGY_LATE: {
    category: 'configuration',
    sentence: 'HoldfastStrategy was given {target} after the application had initialised.',
    fix: 'Call app.connectMicroservice({{ strategy: app.get(HoldfastStrategy) }}) before app.init() or app.listen(); with deferInitialization, startAllMicroservices() comes before them, too.',
  },
  HF_NEST_STREAM_CONTEXT: {
    category: 'permanent',
    sentence:
      'The observable of a handler of {pattern} ended outside the asynchronous context of its call, where an error cannot be told from a success.',
    fix: 'Await it in the handler, as in return await lastValueFrom(stream).',
  },
  HF_ALREADY_STARTED: {
    category: 'configuration',
    sentence: '{call} was called after the bus had started.',
    fix: 'Add handlers before start(), and start a bus once.',
  },
  HF_NOT_STARTED: {
    category: 'configuration',
    sentence: '{call} was called before the bus had started.',
    fix: 'Await start() (with Nest: app.init() or app.listen()) before calling it.',
  },
} as const satisfies ErrorRows;
