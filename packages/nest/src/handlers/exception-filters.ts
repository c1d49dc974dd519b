import 'reflect-metadata';
import { type Delivery } from '@holdfast/core';
import { Inject, Injectable } from '@nestjs/common';
import { type ContextIdFactory, ExternalContextCreator, ModuleRef } from '@nestjs/core';
import { isObservable, lastValueFrom } from 'rxjs';
import { copyMethod } from '../policies/copy-method.js';
import { errorAfterFilters } from './error-after-filters.js';
import { HOLDFAST_CONTEXT } from './handler-params.js';

type ContextId = ReturnType<typeof ContextIdFactory.create>;
type Method = (...args: unknown[]) => unknown;
type Handle = (message: unknown, delivery: Delivery) => Promise<unknown>;

/** A handler on one instance, of one context where it is request-scoped. */
export interface BoundMethod {
  readonly instance: object;
  /** Carries the metadata of the method. */
  readonly method: Method;
  readonly contextId: ContextId | undefined;
  readonly inquirerId: string | undefined;
}

/** Metadata key of `@UseFilters`. @source @nestjs/common, EXCEPTION_FILTERS_METADATA (no public entry point) */
const FILTERS_METADATA = '__exceptionFilters__';

/**
 * Runs Nest's exception filters for handlers. A filter may look at an error, or throw another one in its place (or return an Observable that
 * fails with it); whatever it returns, the message has failed: a catch-all filter must not acknowledge what was not handled.
 */
@Injectable()
export class ExceptionFilters {
  constructor(
    @Inject(ExternalContextCreator) private readonly contexts: ExternalContextCreator,
    @Inject(ModuleRef) private readonly modules: ModuleRef,
  ) {}

  /** `handle`, with its errors shown to the filters of the method, the class and the application. */
  around(handle: Handle, bound: BoundMethod): Handle {
    const filtering = this.filtering(bound);
    return async (message, delivery) => {
      try {
        return await handle(message, delivery);
      } catch (error) {
        throw this.hasFilters(bound) ? await this.mapped(error, () => filtering(message, delivery, error)) : error;
      }
    };
  }

  /** Nest's filters around a function that throws its third argument. */
  private filtering({ instance, method, contextId, inquirerId }: BoundMethod): Method {
    const thrower = (_message: unknown, _delivery: unknown, error: unknown): never => {
      throw error;
    };
    copyMethod(method, thrower);
    const options = { guards: false, interceptors: false, filters: true };
    // A method name of its own: Nest caches what it knows of a method's parameters by class and name, and these have none.
    return this.contexts.create(
      instance,
      thrower as Method,
      'holdfast:filters',
      undefined,
      undefined,
      contextId,
      inquirerId,
      options,
      HOLDFAST_CONTEXT,
    );
  }

  private async mapped(error: unknown, filter: Method): Promise<unknown> {
    try {
      const returned = await filter();
      if (isObservable(returned)) await lastValueFrom(returned, { defaultValue: undefined });
      return error;
    } catch (thrown) {
      return errorAfterFilters(error, thrown);
    }
  }

  /** Without a filter of the user's, Nest's default one would only log the error a second time. */
  private hasFilters({ instance, method }: BoundMethod): boolean {
    if (Reflect.hasMetadata(FILTERS_METADATA, method) || Reflect.hasMetadata(FILTERS_METADATA, instance.constructor)) return true;
    // There is no public way to ask for global filters; where this one is closed, they are taken to exist.
    const config = (this.modules as unknown as { container?: { applicationConfig?: GlobalFilters } }).container?.applicationConfig;
    return !config || config.getGlobalFilters().length > 0 || config.getGlobalRequestFilters().length > 0;
  }
}

interface GlobalFilters {
  getGlobalFilters(): readonly unknown[];
  getGlobalRequestFilters(): readonly unknown[];
}
