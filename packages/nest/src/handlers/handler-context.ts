import type { Delivery } from '@holdfast/core';
import { Inject, Injectable } from '@nestjs/common';
import { ContextIdFactory, ExternalContextCreator, ModuleRef } from '@nestjs/core';
import { copyMethod } from '../policies/copy-method.js';
import { HOLDFAST_HOST, MethodHost } from '../policies/method-host.js';
import { type BoundMethod, ExceptionFilters } from './exception-filters.js';
import { DELIVERY_INDEX, HANDLER_PARAMS, HOLDFAST_CONTEXT, handlerParamsFactory } from './handler-params.js';
import { type DiscoveredClass, type InstanceWrapper, isStatic } from './holdfast.explorer.js';
import type { ClassMethod } from './holdfast-metadata.accessor.js';

/** A handler as the engine calls it. */
export type HandlerFunction = (message: unknown, delivery: Delivery) => Promise<unknown>;

/** Makes functions of handlers that run guards, pipes, interceptors and exception filters, on one instance or on one per message. */
@Injectable()
export class HandlerContext {
  constructor(
    @Inject(ExternalContextCreator) private readonly contexts: ExternalContextCreator,
    @Inject(ModuleRef) private readonly modules: ModuleRef,
    @Inject(HOLDFAST_HOST) private readonly host: MethodHost,
    @Inject(ExceptionFilters) private readonly filters: ExceptionFilters,
  ) {}

  /** The function of a handler; for request scope it resolves an instance per message, whose `REQUEST` is the delivery. */
  async functionOf({ wrapper, instances }: DiscoveredClass, method: ClassMethod): Promise<HandlerFunction> {
    if (!wrapper.isDependencyTreeStatic()) return (message, delivery) => this.handleInScope({ wrapper, method }, message, delivery);
    const instance = isStatic(wrapper)
      ? (instances[0] as object)
      : await this.modules.resolve<object>(wrapper.token as string, undefined, { strict: false });
    return this.bind(method, { instance, contextId: undefined, inquirerId: undefined });
  }

  private async handleInScope(
    { wrapper, method }: { wrapper: InstanceWrapper; method: ClassMethod },
    message: unknown,
    delivery: Delivery,
  ): Promise<unknown> {
    const contextId = ContextIdFactory.getByRequest(delivery);
    this.modules.registerRequestByContextId(delivery, contextId);
    const instance = await this.modules.resolve<object>(wrapper.token as string, contextId, { strict: false });
    return this.bind(method, { instance, contextId, inquirerId: wrapper.id })(message, delivery);
  }

  private bind({ name }: ClassMethod, { instance, contextId, inquirerId }: Omit<BoundMethod, 'method'>): HandlerFunction {
    const { host } = this;
    const method = function (this: object, ...args: unknown[]): unknown {
      return host.callHandler(this, name, [args[0], args[DELIVERY_INDEX]]);
    };
    copyMethod((instance as Record<string, object>)[name] as object, method);
    // Nest's own filters would turn a failure into a success when they return something; ours run around it and cannot.
    const options = { guards: true, interceptors: true, filters: false };
    const handle = this.contexts.create(
      instance,
      method,
      name,
      HANDLER_PARAMS,
      handlerParamsFactory,
      contextId,
      inquirerId,
      options,
      HOLDFAST_CONTEXT,
    );
    return this.filters.around(handle, { instance, method, contextId, inquirerId });
  }
}
