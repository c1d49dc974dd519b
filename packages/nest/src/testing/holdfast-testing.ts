import type {
  Command,
  DataOf,
  DeadLetter,
  Delivery,
  Duration,
  MessageClass,
  PublishOptions,
  SagaOutcome,
  StateOf,
  StoreFactory,
} from '@holdfast/core';
import type { TestingModuleBuilder } from '@nestjs/testing';

/** A clock that moves only when told. */
export interface VirtualClock {
  now(): Date;
  /** Moves time on, running every timer on the way in order. */
  advance(by: Duration): Promise<void>;
}

/** What a published message looked like. */
export interface Recorded<M> {
  readonly message: M;
  /** As given to `publish` or `send`. */
  readonly options: PublishOptions;
}

/**
 * The test's hold on an application made with `HoldfastTesting.inMemory`; get it with `app.get(HoldfastTesting)`.
 *
 * Its statics are filled in by `@holdfast/nest/testing`: the module must know this class as a token without loading the test kit.
 */
export abstract class HoldfastTesting {
  /**
   * Replaces transports by one in memory and the clock by a virtual one in a module under test; the store stays unless given.
   *
   * @returns the builder, to be compiled
   */
  static inMemory: (builder: TestingModuleBuilder, options?: { store?: StoreFactory }) => TestingModuleBuilder;
  /** A delivery for calling a handler by hand; what is not given is made up. */
  static delivery: (fields?: Partial<Delivery>) => Delivery;
  /** The application's clock. */
  abstract readonly clock: VirtualClock;
  /** Hands a message to the application as if another service had published it; `source` is that service. */
  abstract deliver(message: object, options?: PublishOptions & { source?: string }): Promise<void>;
  /** Answers a command that another service owns, from now on; what it throws is a refusal. Not asked when the application has a handler of its own. */
  abstract answer<C extends Command<unknown>>(command: MessageClass<C>, answer: (command: C) => ReplyOf<C> | Promise<ReplyOf<C>>): void;
  /** Waits until nothing is in flight; timers in the future do not count. @throws HF_TEST_NOT_SETTLED after `timeout` of real time, default '5s' */
  abstract settled(options?: { timeout?: Duration }): Promise<void>;
  /** Committed messages of a class, in order. */
  abstract published<M extends object>(type: MessageClass<M>): readonly Recorded<M>[];
  /** Dead letters, of one subscription if given, newest first. */
  abstract deadLetters(subscription?: string): Promise<readonly DeadLetter[]>;
  /** A script for one saga: `given`, `expect` and `reply`, then `ends`. */
  abstract saga<S extends object>(saga: abstract new (...args: never[]) => S): SagaScript<StateOf<S>>;
}

/** What a command is answered with. */
export type ReplyOf<C> = C extends Command<infer R> ? R : never;

/** A saga test that reads as a script; it runs when `ends` is awaited, and what is not as it says is an error that tells both. */
export interface SagaScript<State> {
  /** The first state; the saga is started with it. */
  given(state: State): SagaScript<State>;
  /** The saga must send exactly this command next. */
  expect<Reply>(command: Command<Reply>): ExpectedCommand<State, Reply>;
  /** Moves the virtual clock on. */
  after(time: Duration): SagaScript<State>;
  /** A message for a `saga.waitFor`. */
  signal(message: object, options: { key: string }): SagaScript<State>;
  /** Checks how it ended, and the fields of the state that are given. */
  ends(status: SagaOutcome<State>['status'], state?: Partial<DataOf<State>>): Promise<void>;
}

/** What comes back for an expected command. */
export interface ExpectedCommand<State, Reply> {
  /** The participant has done it. */
  reply(...reply: [Reply] extends [void] ? [] : [reply: Reply]): SagaScript<State>;
  /** The participant refuses for good. */
  refuse(message: string): SagaScript<State>;
  /** Nothing comes back, however often the step asks. */
  silence(): SagaScript<State>;
}
