import { describeSaga, Holdfast } from '@holdfast/core';
import { Inject, Injectable } from '@nestjs/common';
import { HOLDFAST_HOST, MethodHost } from '../policies/method-host.js';
import { aroundClass, aroundMethods } from './around-handlers-only.js';
import { type DiscoveredClass, isStatic } from './holdfast.explorer.js';
import type { ClassMethod } from './holdfast-metadata.accessor.js';

/** Brings the sagas that the explorer found to the engine. */
@Injectable()
export class SagaRegistrar {
  constructor(
    @Inject(Holdfast) private readonly holdfast: Holdfast,
    @Inject(HOLDFAST_HOST) private readonly host: MethodHost,
  ) {}

  /** Registers the class if it is a saga, or has steps; before its other methods are prepared. Gives what is wrong with it. */
  register({ prototype, wrapper, methods, instances }: DiscoveredClass): readonly string[] {
    const description = describeSaga(prototype.constructor);
    // On a handler it says what undoes it when a choreographed saga is aborted.
    const steps = methods.filter(
      ({ metadata: { step, compensate, subscription } }) => step !== undefined || (compensate !== undefined && subscription === undefined),
    );
    if (description === undefined && steps.length === 0) return [];
    if (description === undefined && steps.every(({ metadata }) => metadata.step === undefined))
      return steps.map(
        ({ target }) => `@Compensate stands on ${target}, which is no step of a saga and no handler with @OnMessage: move it to one`,
      );
    for (const method of steps) this.declare(prototype, method);
    const [instance] = instances;
    const name = prototype.constructor.name;
    const run = steps.flatMap(({ name: step, metadata: { compensate } }) => (compensate === undefined ? [step] : [step, compensate]));
    const around = [...aroundClass('the saga', prototype), ...aroundMethods(prototype, run)];
    if (!isStatic(wrapper) || instance === undefined)
      return [
        ...around,
        `the saga ${name} has one instance per request or per user: its steps run outside any request, so make it and what it injects singletons`,
      ];
    this.holdfast.saga(instance, (on, method, args) => this.host.callHandler(on, method, args));
    return around;
  }

  /** The engine calls them, and keeps their policies. */
  private declare(prototype: object, { owner, name, metadata }: ClassMethod): void {
    if (metadata.step !== undefined) this.host.declareHandler(owner, name);
    const { compensate } = metadata;
    for (
      let declaring: object | null = prototype;
      compensate !== undefined && declaring !== null;
      declaring = Object.getPrototypeOf(declaring)
    )
      if (Object.hasOwn(declaring, compensate)) this.host.declareHandler(declaring, compensate);
  }
}
