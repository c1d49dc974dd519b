import type { ErrorRows } from './row.js';

/** Errors of try-confirm-cancel. */
export const TRY_ERRORS = {
  HF_TCC_DEFINITION: {
    category: 'configuration',
    sentence: 'The try {method} cannot be used: {problem}.',
    fix: 'Correct its decorators, or its options where it was built by hand.',
  },
  HF_TCC_NO_UNIT: {
    category: 'permanent',
    sentence: 'The try {method} was called outside any unit of work: nobody would decide whether it is confirmed or cancelled.',
    fix: 'Call it from a @Transactional method, a step of a saga, a @Transactional handler, or inside unit.run().',
  },
  HF_TCC_DATA_SOURCE: {
    category: 'permanent',
    sentence: 'The try {method} was called in a unit of work on the DataSource {found}, and its decision is kept in {dataSource}.',
    fix: 'Call it in a unit on {dataSource}; what the try itself writes may be elsewhere, with its own option dataSource.',
  },
  HF_TCC_NESTED: {
    category: 'permanent',
    sentence:
      'The try {method} was called in the transaction of another try, whose commit would confirm it before the caller of that has decided.',
    fix: 'Call both from the unit that decides.',
  },
  HF_TCC_ARGUMENTS: {
    category: 'permanent',
    sentence: 'The arguments of the try {method} cannot be kept for its confirm and cancel: {reason}.',
    fix: 'Give it plain JSON: texts, numbers, booleans, null, lists and objects; keep large things in a table of your own, and give their ids.',
  },
  HF_TCC_RESULT: {
    category: 'permanent',
    sentence: 'The result of the try {method} cannot be kept for its confirm and cancel, so it is cancelled: {reason}.',
    fix: 'Return plain JSON: texts, numbers, booleans, null, lists and objects; keep large things in a table of your own, and return their ids.',
  },
  HF_TCC_REFUSED: {
    category: 'transient',
    sentence:
      'The try {method} ({id}) may not begin: its branch was decided against before, at its time-out of {timeoutMs} ms or because this process was taken for dead.',
    fix: 'The calling unit is rolled back; do it again, with a longer timeout where it needs one.',
  },
  HF_TCC_COMMIT_UNKNOWN: {
    category: 'transient',
    sentence: 'The connection broke during the COMMIT of the try {method} ({id}): nobody knows yet whether it is done.',
    fix: 'The calling unit is rolled back, and what the try did is cancelled; do it again.',
  },
  HF_TCC_DECIDED: {
    category: 'transient',
    sentence:
      'The unit of work cannot commit: the branch {id} of a try it called was decided against before, at its time-out or because this process was taken for dead.',
    fix: 'It is rolled back and its tries are cancelled; do it again, with a longer timeout on the try where it needs one.',
  },
  HF_TCC_SERVER: {
    category: 'transient',
    sentence:
      'The unit of work cannot commit: the branch {id} of a try it called was registered with another server of the database, or before it was started again.',
    fix: 'It is rolled back and its tries are cancelled; do it again.',
  },
  HF_TCC_CALL_TIMEOUT: {
    category: 'transient',
    sentence: 'The {operation} of {method} ({id}) took longer than {timeoutMs} ms.',
    fix: 'Pass branch.signal to slow calls.',
  },
  HF_TCC_KILLED: {
    category: 'permanent',
    sentence: '{deaths} processes in a row ended while they had the {operation} of {method} ({id}) in hand.',
    fix: 'Find out what ends them (memory, an exit, an uncaught error), this method or another one they worked on; what was not committed was rolled back.',
  },
  HF_TCC_UNTRIED: {
    category: 'outcome',
    sentence: 'The unit of work that called the try {method} ({id}) has committed, and the try has not.',
    fix: 'Something else has changed the tables of Holdfast, or the database was restored: look what there is, put it right, and skip the branch.',
  },
  HF_TCC_UNKNOWN: {
    category: 'permanent',
    sentence: 'There is no branch {id}.',
    fix: 'Look for a typing error in the id, or list the branches; one that ended is kept as long as the log.',
  },
  HF_TCC_NOT_PARKED: {
    category: 'permanent',
    sentence: '{action} is for a parked branch, and {id} is {status}.',
    fix: 'Look at it again with branches.get(); somebody else may have repaired it.',
  },
  HF_TCC_REPAIR_IN_TRANSACTION: {
    category: 'permanent',
    sentence:
      'The branch {id} cannot be changed by branches.{action}() inside a unit of work: that is a transaction of its own, whatever becomes of the unit.',
    fix: 'Call it after the transaction.',
  },
} as const satisfies ErrorRows;
