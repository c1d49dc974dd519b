import type { DeadLetter, Delivery, Duration, MessageClass, PublishOptions, StoreFactory } from '@holdfast/core';
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
  /** Waits until nothing is in flight; timers in the future do not count. @throws HF_TEST_NOT_SETTLED after `timeout` of real time, default '5s' */
  abstract settled(options?: { timeout?: Duration }): Promise<void>;
  /** Committed messages of a class, in order. */
  abstract published<M extends object>(type: MessageClass<M>): readonly Recorded<M>[];
  /** Dead letters, of one subscription if given, newest first. */
  abstract deadLetters(subscription?: string): Promise<readonly DeadLetter[]>;
}
