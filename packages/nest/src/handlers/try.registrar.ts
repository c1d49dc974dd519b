import {
  type AsyncMethod,
  Holdfast,
  methodMetadata,
  type RetryOptions,
  type TryConfirmCancelOptions,
  type TryDefinition,
} from '@holdfast/core';
import { Inject, Injectable } from '@nestjs/common';
import { copyMethod } from '../policies/copy-method.js';
import { HOLDFAST_HOST, MethodHost } from '../policies/method-host.js';
import { aroundMethods } from './around-handlers-only.js';
import type { DiscoveredClass } from './holdfast.explorer.js';
import type { ClassMethod } from './holdfast-metadata.accessor.js';

/** Brings the tries that the explorer found to the engine. */
@Injectable()
export class TryRegistrar {
  constructor(
    @Inject(Holdfast) private readonly holdfast: Holdfast,
    @Inject(HOLDFAST_HOST) private readonly host: MethodHost,
  ) {}

  /** Registers the tries of a class, before its other methods are prepared. Gives what is wrong with them. */
  register({ prototype, methods, instances }: DiscoveredClass): readonly string[] {
    const tries = methods.filter(({ metadata }) => metadata.tryConfirmCancel !== undefined);
    if (tries.length === 0) return [];
    const [instance] = instances;
    if (instance === undefined)
      return [
        `${prototype.constructor.name} has a try and one instance per request or per user: its confirm and cancel run outside any request, so make it and what it injects singletons`,
      ];
    return tries.flatMap((method) => this.registerTry({ prototype, instance }, method));
  }

  private registerTry(on: { readonly prototype: object; readonly instance: object }, method: ClassMethod): readonly string[] {
    const options = method.metadata.tryConfirmCancel as TryConfirmCancelOptions;
    const problems = [...misplaced(method, on.prototype), ...this.missing(on.instance, method, options)];
    if (problems.length > 0) return problems;
    const { confirm, cancel, name = method.target, timeout, dataSource } = options;
    for (const ending of [confirm, cancel]) this.declare(on.prototype, ending);
    const ends: TryDefinition<unknown[]>['options'] = {
      timeout,
      dataSource,
      confirm: this.ending(on.instance, confirm),
      cancel: this.ending(on.instance, cancel),
      confirmRetry: retryOf(on.prototype, confirm),
      cancelRetry: retryOf(on.prototype, cancel),
    };
    this.host.registerTry({ ...method, prototype: on.prototype }, (original) =>
      this.holdfast.tryConfirmCancel({ name, method: original as (...args: unknown[]) => Promise<unknown>, options: ends }),
    );
    return [];
  }

  /** The engine calls it, and keeps its `@Retry`. */
  private declare(prototype: object, name: string): void {
    for (let owner: object | null = prototype; owner !== null; owner = Object.getPrototypeOf(owner))
      if (Object.hasOwn(owner, name)) this.host.declareHandler(owner, name);
  }

  private ending(instance: object, name: string): (...args: unknown[]) => Promise<void> {
    const call = async (...args: unknown[]) => void (await this.host.callHandler(instance, name, args));
    // The number of its parameters says whether it takes the branch.
    copyMethod((instance as Record<string, AsyncMethod>)[name] as AsyncMethod, call);
    return call;
  }

  private missing(instance: object, { target }: ClassMethod, { confirm, cancel }: TryConfirmCancelOptions): readonly string[] {
    const isThere = (name: string) => typeof (instance as Record<string, unknown>)[name] === 'function';
    return Object.entries({ confirm, cancel })
      .filter(([, name]) => !isThere(name))
      .map(([what, name]) => `@TryConfirmCancel({ ${what}: '${name}' }) on ${target} names no method of the class`);
  }
}

/** What stands on a try, or on what ends it, and does nothing there, or something else than it seems to. */
function misplaced({ target, metadata }: ClassMethod, prototype: object): readonly string[] {
  const { retry, transactional, idempotent, subscription, durable, step, tryConfirmCancel } = metadata;
  const { confirm, cancel } = tryConfirmCancel as TryConfirmCancelOptions;
  const problems: string[] = [];
  if (retry !== undefined)
    problems.push(
      `@Retry stands on the try ${target}, which is called once by its unit of work: put it on the caller, or on what ends the try`,
    );
  if (transactional !== undefined)
    problems.push(`@Transactional stands on the try ${target}, which has a transaction of its own already: remove it`);
  if (idempotent !== undefined) problems.push(`@Idempotent stands on the try ${target}; put it on the method that calls it`);
  if (subscription !== undefined || durable !== undefined || step !== undefined)
    problems.push(`${target} is called by the engine, and a try by a unit of work: call the try from it`);
  problems.push(...aroundMethods(prototype, [confirm, cancel]));
  for (const ending of [confirm, cancel]) {
    const of = methodMetadata(prototype, ending);
    if (of?.transactional !== undefined)
      problems.push(`@Transactional stands on ${ending}, which ends the try ${target} in a unit of work of its own already: remove it`);
    if (of?.idempotent !== undefined)
      problems.push(`@Idempotent stands on ${ending}, whose effect is one commit with the end of the try ${target}: remove it`);
    if (of?.tryConfirmCancel !== undefined) problems.push(`${ending} is a try, and ends the try ${target}: give that a method of its own`);
  }
  return problems;
}

function retryOf(prototype: object, name: string): number | false | RetryOptions | undefined {
  return methodMetadata(prototype, name)?.retry;
}
