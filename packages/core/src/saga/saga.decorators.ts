import type { Delivery } from '../delivery/delivery.js';
import { declareMethod } from '../delivery/policy-metadata.js';
import type { MethodDescriptor } from '../delivery/policies.js';
import type { Command, MessageClass } from '../message/message.js';
import { className } from '../message/message-class.js';
import { hfError } from '../errors/catalogue.js';
import type { SagaContext } from './saga-context.js';
import type { SagaOptions } from './saga-plan.js';
import type { StepOptions } from './step-options.js';
import type { StepOutcome } from './step-outcome.js';

/** What a step, or a compensation, may return: nothing when it is done, or what it is to be continued with. */
export type StepResult = void | StepOutcome | Promise<void | StepOutcome>;
// biome-ignore lint/suspicious/noExplicitAny: of whatever state, and nothing but a context
type StepMethod = (saga: SagaContext<any>) => StepResult;
type TakesState<F> = F extends (...args: infer P) => unknown
  ? P extends [SagaContext<infer S>, ...unknown[]]
    ? (state: S) => void
    : never
  : never;
type TakesStateOf<Saga> = { [K in keyof Saga]: TakesState<Saga[K]> }[keyof Saga];

/** The state type of a saga class, found in the parameters of its methods: what all of them want. */
export type StateOf<Saga> = [TakesStateOf<Saga>] extends [never] ? never : TakesStateOf<Saga> extends (state: infer S) => void ? S : never;

/** What `@Saga` says about a class. */
export interface SagaDescription {
  readonly name: string;
  readonly options: SagaOptions;
}

// In the global symbol registry, so that a class declared with one copy of this package is known to another.
const DESCRIPTION = Symbol.for('holdfast.saga');

/**
 * Declares a class as a saga. Its steps are methods with `@Step`, each in a unit of work of its own together with the saga's progress. Writes
 * metadata only, and is not inherited.
 *
 * @param name durable, 1 to 255 characters, unique in the service
 */
export function Saga(name: string, options: SagaOptions): (target: abstract new (...args: never[]) => object) => void {
  return (target) => {
    if (typeof target !== 'function') throw hfError('HF_DECORATOR_TARGET', { decorator: 'Saga', target, reason: 'it is no class' });
    Object.defineProperty(target, DESCRIPTION, { value: Object.freeze({ name, options: { ...options } }), configurable: true });
  };
}

/** What `@Saga` says about a class; undefined when it does not stand there. */
export function describeSaga(target: object): SagaDescription | undefined {
  return Object.hasOwn(target, DESCRIPTION) ? (Reflect.get(target, DESCRIPTION) as SagaDescription) : undefined;
}

/**
 * Declares a method as a step of its saga: it is given a `SagaContext`. The name of the method is stored with the instances of the saga: rename it
 * only under a new version.
 *
 * @throws HF_DECORATOR_TARGET where the class is declared, on anything but a method
 */
export function Step<const After extends string = never, State = unknown>(
  options?: StepOptions<After, State>,
): (
  target: { [P in NoInfer<After>]: StepMethod },
  name: string,
  descriptor: MethodDescriptor<(saga: SagaContext<State>) => StepResult>,
) => void {
  return (target, name, descriptor) =>
    declareMethod({
      decorator: 'Step',
      kind: 'step',
      value: options ?? {},
      target,
      name,
      descriptor: descriptor as PropertyDescriptor | undefined,
    });
}

/** What undoes a method is given: what the method was, and behind the message of a handler its delivery, which the handler need not take. */
type UndoArguments<Args extends readonly unknown[]> = Args extends readonly [infer M]
  ? M extends SagaContext<infer _State>
    ? Args
    : [message: M, delivery: Delivery]
  : Args;

/**
 * On a step: names the public method of the same class that undoes it, called with the same kind of context. It has its own `@Retry`; when that is
 * used up the saga parks. It is called for a step that is done, and for one that may be: it has asked another service that did not answer, or has
 * begun to wait (`sleep`, `waitFor`, `start`), with which what it wrote was committed, and waits in vain, or the saga turns back meanwhile.
 *
 * On a handler with `@OnMessage`, `@Idempotent` and `@Transactional`: names the method that undoes it when the saga of its message is aborted
 * (`SagaAborted`), called with the very message and its delivery in a unit of work of its own, if the handler committed. It has its own `@Retry`; when
 * that is used up it is a dead letter of the subscription `<name>.undo`. Messages of no saga are not recorded.
 *
 * @throws HF_DECORATOR_TARGET where the class is declared, on anything but a method
 */
export function Compensate<Method extends string>(
  method: Method,
): <F extends (...args: never[]) => unknown>(
  target: { [P in Method]: (...args: UndoArguments<Parameters<F>>) => unknown },
  name: string,
  descriptor: MethodDescriptor<F>,
) => void;
/**
 * On a handler: it undoes what a saga has asked for with `command`, which another handler of the same service takes. Both need `@Idempotent()`, without a key.
 *
 * **Guarantee:** a request that is undone never happens later, and one that never ran is answered as undone without a call of the handler; also when the
 * request is late, in work, tried again, or a dead letter, when either message comes twice, and when the process dies. A request whose handler has no
 * `@Transactional` is undone, too, when it was begun and nobody knows its end.
 * **Not promised:** anything about messages that undo nothing (`bus.send` of the same command): they are handled as any other.
 *
 * @throws HF_DECORATOR_TARGET where the class is declared, on anything but a method; at the start what is missing is told
 */
export function Compensate<C extends MessageClass<Command<unknown>>>(
  command: C,
): (target: object, name: string, descriptor: MethodDescriptor<(...args: never[]) => unknown>) => void;
export function Compensate(undo: string | MessageClass<Command<unknown>>) {
  return (target: object, name: string, descriptor: object): void => {
    const place = { decorator: 'Compensate', target, name, descriptor: descriptor as PropertyDescriptor | undefined };
    if (typeof undo === 'string') declareMethod({ ...place, kind: 'compensate', value: undo });
    else declareMethod({ ...place, kind: 'compensates', value: undo });
  };
}

/** How a class is named in errors. */
export function sagaName(target: object): string {
  return describeSaga(target)?.name ?? className(target as { readonly name?: string });
}
