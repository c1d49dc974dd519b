type Check = (value: unknown) => boolean;

/** Milliseconds beyond which there is no date. */
const LAST_MOMENT = 8.64e15;

const isText: Check = (value) => typeof value === 'string';
const isNumber: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const isFlag: Check = (value) => typeof value === 'boolean';
const isMoment: Check = (value) => value === null || (typeof value === 'number' && Math.abs(value) <= LAST_MOMENT);

const maybe =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const nothingOr = (check: Check): Check => maybe((value) => value === null || check(value));
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const having =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value) =>
    typeof value === 'object' && value !== null && Object.entries(fields).every(([name, check]) => check(Reflect.get(value, name)));

const isFailure = having({ step: isText, code: isText, message: isText });

/** Whether a value is the progress of a saga as far as anybody goes by it. What a later version adds is none of its business. */
export const isProgress = having({
  at: listOf(
    having({
      step: isText,
      way: isText,
      attempts: isNumber,
      callMs: maybe(isMoment),
      waits: maybe(listOf(having({ kind: isText, untilMs: maybe(isMoment) }))),
    }),
  ),
  done: listOf(having({ step: isText, request: nothingOr(having({ id: isText })) })),
  leftOut: listOf(isText),
  branches: maybe(listOf(having({ step: isText, untilMs: maybe(isMoment) }))),
  kept: maybe(listOf(having({ type: isText, key: isText }))),
  lock: nothingOr(having({ key: isText, isHeld: isFlag })),
  failure: nothingOr(isFailure),
  parked: nothingOr(having({ while: isText, failure: isFailure })),
});
