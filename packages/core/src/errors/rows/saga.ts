import type { ErrorRows } from './row.js';

/** Errors of sagas, their steps and what operators do with them. */
export const SAGA_ERRORS = {
  HF_SAGA_DEFINITION: {
    category: 'configuration',
    sentence: 'The saga {saga} cannot be used: {problem}.',
    fix: 'Correct its decorators, or its steps where it was built by hand.',
  },
  HF_SAGA_UNKNOWN: {
    category: 'permanent',
    sentence: 'There is no saga {id}.',
    fix: 'Look for a typing error in the id, or list the sagas; one that ended is kept for 30 days.',
  },
  HF_SAGA_NOT_REGISTERED: {
    category: 'permanent',
    sentence: '{saga} is no saga of this process.',
    fix: 'Add it before the start: as a provider of a module, or without Nest with holdfast.saga().',
  },
  HF_SAGA_ID: {
    category: 'permanent',
    sentence: 'The id of a saga {saga} cannot be used: {reason}.',
    fix: 'Give an id of 1 to {limit} characters that is the same when the same thing is started again, such as that of the order.',
  },
  HF_SAGA_ID_TAKEN: {
    category: 'permanent',
    sentence: 'The saga {id} is there already, and is a {found}, not a {saga}.',
    fix: 'Ids are shared by all sagas of a service: put the kind into the id, as in order-42/refund.',
  },
  HF_SAGA_STEP_ELSEWHERE: {
    category: 'permanent',
    sentence:
      'The step {step} of the saga {saga} {id} runs in {dataSource} and asked for something with saga.request, sleep, waitFor, start or firstOf.',
    fix: 'Ask for it in a step of its own, behind this one: that is a commit of the saga.',
  },
  HF_SAGA_STEP_BARRED: {
    category: 'permanent',
    sentence: 'The step {step} of the saga {id} was undone or skipped before it ran.',
    fix: 'Nothing is to be done where somebody else had taken the saga over; where a skip was not completed, skip it once more.',
  },
  HF_SAGA_STEP_COMMITTED: {
    category: 'permanent',
    sentence: 'The {what} {step} of the saga {id} cannot be skipped: it was committed in {dataSource}.',
    fix: 'Resume the saga, which goes on from there; what was done by hand as well has happened twice.',
  },
  HF_SAGA_STEP_TRIMMED: {
    category: 'transient',
    sentence: 'The guard row of the step {step} of the saga {id} was old, and deleted while it was read.',
    fix: 'Nothing is to be done: the step is tried again.',
  },
  HF_SAGA_STEP_TABLE: {
    category: 'configuration',
    sentence: 'Steps of sagas run in the DataSource {dataSource}, which has no table for their guard rows.',
    fix: 'Run the migrations of holdfastStepGuards() there before starting, or set migrate: true.',
  },
  HF_SAGA_STATE: {
    category: 'permanent',
    sentence: 'The state of the saga {saga} {id} (step: {step}) cannot be kept: {reason}.',
    fix: 'Keep an object of plain JSON in it: texts, numbers, booleans, lists and objects.',
  },
  HF_SAGA_STATE_TOO_LARGE: {
    category: 'permanent',
    sentence: 'The state of the saga {saga} {id} (step: {step}) has {bytes} bytes as JSON, the limit is {limit}.',
    fix: 'Keep large things in a table of your own, and their ids in the state.',
  },
  HF_SAGA_STEP_TIMEOUT: {
    category: 'transient',
    sentence: 'The step {step} of the saga {saga} {id} took longer than {timeoutMs} ms.',
    fix: 'Pass saga.signal to slow calls, or give the step a longer timeout.',
  },
  HF_SAGA_REPLY_TIMEOUT: {
    category: 'transient',
    sentence: 'The step {step} of the saga {saga} {id} got no reply to its request {request} of {type} in time.',
    fix: 'Look whether the service that handles it is at work, or give the step a longer timeout; the same request is sent again with each attempt.',
  },
  HF_SAGA_REQUEST_CHANGED: {
    category: 'permanent',
    sentence:
      'The step {step} of the saga {saga} {id} asks for {found}, and has asked for {before} before, under the same id, which nobody has answered.',
    fix: 'Let its method ask for the same each time: decide what to ask for in a step before it, and keep that in the state.',
  },
  HF_SAGA_WAIT_TIMEOUT: {
    category: 'permanent',
    sentence: 'The step {step} of the saga {saga} {id} waited for {type} with the key {key}, and none came in time.',
    fix: 'Publish it with that key, or give waitFor a longer timeout.',
  },
  HF_SAGA_SIGNAL: {
    category: 'permanent',
    sentence: '{waiting} cannot wait for {type}: {problem}.',
    fix: 'List its class under signals in @Saga, and publish it with the key that the saga waits for.',
  },
  HF_SAGA_FIRST_OF: {
    category: 'permanent',
    sentence: 'The step {step} of the saga {id} asked for the first of several with {found} among them.',
    fix: 'Give firstOf what sleep and waitFor return; a request, or another saga, needs a step of its own.',
  },
  HF_SAGA_OUTCOME_DROPPED: {
    category: 'permanent',
    sentence:
      'The step {step} of the saga {saga} {id} asked for something with saga.request, sleep, waitFor, start or firstOf, and did not return it.',
    fix: 'Return it from the step, once: return saga.request(…).',
  },
  HF_SAGA_CHILD_COMPENSATED: {
    category: 'permanent',
    sentence: 'The saga {child} was undone: {reason}; so the step {step} of the saga {saga} {id}, which started it, has failed.',
    fix: 'Look at the history of {child} for the step that failed.',
  },
  HF_SAGA_LOCK_KEY: {
    category: 'permanent',
    sentence: 'The lock of the saga {saga} {id} cannot be used: {reason}.',
    fix: 'Let the lock of the saga give a text of 1 to {limit} characters, such as account:42.',
  },
  HF_SAGA_LOCKED: {
    category: 'permanent',
    sentence: 'The saga {saga} {id} was not started: {key} is held by the saga {holder}.',
    fix: "Start it when that one has ended, or let it wait with whenLocked: 'wait'.",
  },
  HF_SAGA_NOT_ENDED: {
    category: 'permanent',
    sentence: 'The saga {id} cannot be purged: it is {status}.',
    fix: 'Let it end, or repair or cancel it first.',
  },
  HF_SAGA_STEP_KILLED: {
    category: 'permanent',
    sentence: '{deaths} processes in a row ended while they had the saga {saga} {id} at the step {step}.',
    fix: 'Find out what ends them (memory, an exit, an uncaught error), this step or another one they worked on; what was not committed was rolled back.',
  },
  HF_SAGA_STEP_UNKNOWN: {
    category: 'permanent',
    sentence: 'The saga {saga} {id} of version {version} is at the step {step} with {done} done, which is no place in: {here}.',
    fix: 'Deploy the code it was started with, then resume the saga; a changed saga needs a new version.',
  },
  HF_SAGA_PROGRESS: {
    category: 'permanent',
    sentence: 'Where the saga {saga} {id} of version {version} stands cannot be read: what is stored of it is damaged.',
    fix: 'Correct the column `progress` of its row: what was found there is in its field `unread`. Then resume the saga.',
  },
  HF_SAGA_CHANGED: {
    category: 'configuration',
    sentence: 'The saga {saga} version {version} was changed under {instances}: started as [{found}], and here it is [{here}].',
    fix: 'Give the changed saga a new version, and keep a process of the old one until its instances have ended; what is parked for this resumes there.',
  },
  HF_SAGA_BRANCH_TIMEOUT: {
    category: 'permanent',
    sentence: 'The branch of the saga {saga} {id} that begins with {branch} took longer than {timeoutMs} ms, and is at the step {step}.',
    fix: 'Look at its history for the step that held it up, or give the branch a longer branchTimeout.',
  },
  HF_SAGA_TIMEOUT: {
    category: 'permanent',
    sentence: 'The saga {saga} {id} took longer than {timeoutMs} ms, and is at the step {step}.',
    fix: 'Look at its history for the step that held it up, or give the saga a longer timeout.',
  },
  HF_SAGA_CANCELLED: {
    category: 'permanent',
    sentence: 'The saga {id} was cancelled by {by} at the step {step}: {reason}.',
    fix: 'What it had done is undone.',
  },
  HF_SAGA_PAST_PIVOT: {
    category: 'permanent',
    sentence: 'The saga {id} (step: {step}) cannot be cancelled: its pivot is done or left out, or may be done, and there is no way back.',
    fix: 'Let it go on; if it is parked, repair what stopped it and resume it. While the pivot waits for a saga that it has started, that one can be cancelled.',
  },
  HF_SAGA_NOT_PARKED: {
    category: 'permanent',
    sentence: '{action} is for a parked saga, and {id} is {status} (step: {step}).',
    fix: 'Look at it again with sagas.get(); somebody else may have repaired it.',
  },
  HF_SAGA_STANDS_ELSEWHERE: {
    category: 'permanent',
    sentence: 'The skip of the saga {id} is about {step}, and the saga stands for {found} now, or has parked again.',
    fix: 'Nothing was skipped. Look at it again with sagas.get(), and say what is to be done about that step.',
  },
  HF_SAGA_NOT_RUNNING: {
    category: 'permanent',
    sentence: 'The saga {id} cannot be cancelled: it is {status} (step: {step}).',
    fix: 'Look at it again with sagas.get(); what has ended or turned back already cannot be cancelled.',
  },
  HF_SAGA_NOT_KEPT: {
    category: 'permanent',
    sentence: 'The saga {id} (step: {step}) cannot be changed here: this process has no definition of {saga} version {version}.',
    fix: 'Do it in a process that has it: whatever comes next is decided by the definition.',
  },
  HF_SAGA_IN_WORK: {
    category: 'conflict',
    sentence: 'The saga {id} is in work, or what it shares with others is: that did not end within {waitMs} ms.',
    fix: 'Nothing was changed; do it again when that has ended.',
  },
  HF_SAGA_REPAIR_IN_TRANSACTION: {
    category: 'permanent',
    sentence:
      'The saga {id} cannot be changed by sagas.{action}() inside a unit of work: that is a transaction of its own, whatever becomes of the unit.',
    fix: 'Call it after the transaction.',
  },
  HF_SAGA_ABORT_OF_NONE: {
    category: 'permanent',
    sentence: 'SagaAborted belongs to no saga, so nobody knows what is to be undone.',
    fix: 'Publish it with the option sagaId, or in a handler of one of the messages of the saga.',
  },
  HF_SAGA_ABORTED: {
    category: 'permanent',
    sentence: '{type} was not handled, because its saga {id} was aborted.',
    fix: 'Nothing is to be done: what was handled before is undone.',
  },
  HF_SAGA_UNDO_RETIRED: {
    category: 'permanent',
    sentence: 'A part of the saga {id} was to be undone by {subscription}, which is retired.',
    fix: 'Undo it by hand and discard this dead letter: then the parts before it are undone. Or bring its handler back, with its @Compensate, and redrive it.',
  },
  HF_SAGA_BUSY: {
    category: 'conflict',
    sentence: 'Another message of the saga {id} is in work in this service, and was not done within {waitMs} ms.',
    fix: 'Nothing is to be done: it is tried again. Where that takes long, look for a slow handler with @Compensate.',
  },
  HF_SAGA_RESULT_TIMEOUT: {
    category: 'transient',
    sentence: 'The saga {id} did not end within {timeoutMs} ms, and is at the step {step}.',
    fix: 'It goes on: ask again later, or give a longer timeout.',
  },
  HF_SAGA_RESULT_IN_TRANSACTION: {
    category: 'permanent',
    sentence: 'The result of the saga {id} cannot be waited for inside a unit of work: one that is started in it begins with the commit.',
    fix: 'Call sagas.result() after the transaction.',
  },
} as const satisfies ErrorRows;
