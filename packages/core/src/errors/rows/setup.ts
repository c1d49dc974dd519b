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
