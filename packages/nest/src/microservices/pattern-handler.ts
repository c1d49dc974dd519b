import type { Delivery } from '@holdfast/core';
import { HoldfastContext } from './holdfast.context.js';
import { PatternCall } from './pattern-call.js';
import type { PatternMethod } from './pattern-method.js';

/** Nest's function of a handler: guards, interceptors, pipes, the method, exception filters. */
export type PatternFunction = (data: unknown, context: HoldfastContext) => unknown;

/** Runs work between the hooks of whoever watches the strategy. */
export type Watched = (context: HoldfastContext, work: () => Promise<unknown>) => Promise<unknown>;

/** One handler under HoldfastStrategy: one method, one subscription, however many patterns it names. */
export class PatternHandler {
  /** `Class.method` of each controller that has it: of those that inherit it from one ancestor, only the first would be called. */
  readonly targets = new Set<string>();
  private readonly functions = new Map<string, PatternFunction>();

  constructor(
    readonly origin: PatternMethod,
    readonly kind: 'event' | 'message',
    private readonly watched: Watched,
  ) {}

  /** The message types of its patterns. */
  get types(): readonly string[] {
    return [...this.functions.keys()];
  }

  /** Adds a pattern; of a controller that several modules have, the first one stays. */
  add(type: string, pipeline: PatternFunction): void {
    if (!this.functions.has(type)) this.functions.set(type, pipeline);
  }

  /** Calls it for a delivery. @throws what it failed with, also where an exception filter answered */
  async call(data: unknown, delivery: Delivery): Promise<unknown> {
    const context = new HoldfastContext([delivery]);
    const pipeline = this.functions.get(delivery.type) as PatternFunction;
    return this.watched(context, () => new PatternCall(context).run(() => pipeline(data, context)));
  }
}
