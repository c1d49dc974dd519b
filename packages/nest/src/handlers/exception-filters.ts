import { type Delivery } from '@holdfast/core';
import { Inject, Injectable } from '@nestjs/common';
import { type ContextIdFactory, type ExternalContextCreator, ModuleRef } from '@nestjs/core';
import { isObservable, lastValueFrom } from 'rxjs';
import { copyMethod } from '../policies/copy-method.js';
import { hasEnhancers } from './enhancers.js';
import { errorAfterFilters } from './error-after-filters.js';
import { HOLDFAST_CONTEXT } from './handler-params.js';

/** Of a message, where the handler is made for it. */
export type ContextId = ReturnType<typeof ContextIdFactory.create>;
type Method = (...args: unknown[]) => unknown;
type Handle = (message: unknown, delivery: Delivery) => Promise<unknown>;

/** A handler on one instance, of one context where it is request-scoped. */
export interface BoundMethod {
  readonly instance: object;
  /** Carries the metadata of the method. */
  readonly method: Method;
  readonly contextId: ContextId | undefined;
  readonly inquirerId: string | undefined;
  /** Makes what Nest runs around it. */
  readonly contexts: ExternalContextCreator;
}

/**
 * Runs Nest's exception filters for handlers. A filter may look at an error, or throw another one in its place (or return an Observable that
 * fails with it); whatever it returns, the message has failed: a catch-all filter must not acknowledge what was not handled.
 */
@Injectable()
export class ExceptionFilters {
  constructor(@Inject(ModuleRef) private readonly modules: ModuleRef) {}

  /** `handle`, with its errors shown to the filters of the method, the class and the application. */
  around(handle: Handle, bound: BoundMethod): Handle {
    const filtering = this.filtering(bound);
    // Without a filter of the user's, Nest's default one would only log the error a second time.
    const hasFilters = () => hasEnhancers(bound, 'filters', this.modules);
    return (message, delivery) =>
      handle(message, delivery).catch(async (error: unknown) => {
        throw hasFilters() ? await this.mapped(error, () => filtering(message, delivery, error)) : error;
      });
  }

  /** Nest's filters around a function that throws its third argument. */
  private filtering({ instance, method, contextId, inquirerId, contexts }: BoundMethod): Method {
    const thrower = (_message: unknown, _delivery: unknown, error: unknown): never => {
      throw error;
    };
    copyMethod(method, thrower);
    const options = { guards: false, interceptors: false, filters: true };
    // A method name of its own: Nest caches what it knows of a method's parameters by class and name, and these have none.
    return contexts.create(
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
}
