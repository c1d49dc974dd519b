import { type Delivery, hfError } from '@holdfast/core';
import { Inject, Injectable } from '@nestjs/common';
import { ContextIdFactory, ExternalContextCreator, ModuleRef } from '@nestjs/core';
import { isObservable, lastValueFrom } from 'rxjs';
import { copyMethod } from '../policies/copy-method.js';
import { HOLDFAST_HOST, MethodHost } from '../policies/method-host.js';
import { ENHANCER_KINDS, type Enhanced, type EnhancerKind, leftOut, madePerMessage } from './enhancers.js';
import { type BoundMethod, type ContextId, ExceptionFilters } from './exception-filters.js';
import { DELIVERY_INDEX, HANDLER_PARAMS, HOLDFAST_CONTEXT, handlerParamsFactory } from './handler-params.js';
import { contextsIn, enhancersOf } from './host-contexts.js';
import { type DiscoveredClass, type InstanceWrapper, isStatic } from './holdfast.explorer.js';
import type { ClassMethod } from './holdfast-metadata.accessor.js';
import { Outcomes } from './outcomes.js';

/** What Nest runs around a handler, but for the filters, which are ours. */
const AROUND = ['guards', 'interceptors', 'pipes'] as const;

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
    const isController = wrapper.host?.controllers.get(wrapper.token) === wrapper;
    // Around others they would not run, or not be whole: nobody calls their constructors.
    if (!isController) for (const kind of ENHANCER_KINDS) refuse(kind, madePerMessage(kind, this.modules));
    if (!wrapper.isDependencyTreeStatic()) return (message, delivery) => this.handleInScope({ wrapper, method }, message, delivery);
    const instance = isStatic(wrapper)
      ? (instances[0] as object)
      : await this.modules.resolve<object>(wrapper.token as string, undefined, { strict: false });
    return this.bind({ wrapper, method }, instance);
  }

  private async handleInScope(found: FoundMethod, message: unknown, delivery: Delivery): Promise<unknown> {
    const { wrapper } = found;
    const contextId = ContextIdFactory.getByRequest(delivery);
    this.modules.registerRequestByContextId(delivery, contextId);
    const instance = await this.modules.resolve<object>(wrapper.token as string, contextId, { strict: false });
    return this.bind(found, instance, contextId)(message, delivery);
  }

  private bind({ wrapper, method: { name } }: FoundMethod, instance: object, contextId?: ContextId): HandlerFunction {
    const outcomes = new Outcomes(`${instance.constructor.name}.${name}`);
    const { host } = this;
    const method = function (this: object, ...args: unknown[]): unknown {
      return host.callHandler(this, name, [args[0], args[DELIVERY_INDEX]]);
    };
    copyMethod((instance as Record<string, object>)[name] as object, method);
    const inquirerId = contextId === undefined ? undefined : wrapper.id;
    const module = wrapper.host?.token ?? '';
    const payload: unknown = (Reflect.getMetadata('design:paramtypes', instance, name) as unknown[] | undefined)?.[0];
    const bound = { instance, method, contextId, inquirerId, contexts: contextsIn(this.contexts, { module, payload, outcomes }) };
    const around = AROUND.flatMap((kind) => this.around(kind, bound, module));
    if (wrapper.isNotMetatype) this.assertComplete('filters', bound, 0);
    return this.filters.around(around.length === 0 ? this.plain(name, instance) : this.enhanced(name, bound, outcomes), bound);
  }

  private around(kind: (typeof AROUND)[number], bound: BoundMethod, module: string): readonly unknown[] {
    const { contextId, inquirerId } = bound;
    const place = { kind, module, contextId, inquirerId };
    const made = enhancersOf(this.contexts, bound, place);
    this.assertComplete(kind, bound, made.length);
    return kind === 'pipes' ? enhancersOf(bound.contexts, bound, place) : made;
  }

  /** @throws HF_CONFIG_INVALID when a guard, or anything of its like, would silently not run */
  private assertComplete(kind: EnhancerKind, enhanced: Enhanced, made: number): void {
    refuse(kind, leftOut(enhanced, kind, { modules: this.modules, made }));
  }

  private enhanced(name: string, { instance, method, contextId, inquirerId, contexts }: BoundMethod, outcomes: Outcomes): HandlerFunction {
    // Nest's own filters would turn a failure into a success when they return something; ours run around it and cannot.
    const options = { guards: true, interceptors: true, filters: false };
    const handle = contexts.create(
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
    return async (message, delivery) => {
      const value = await handle(message, delivery);
      outcomes.assertSucceeded(delivery);
      return value;
    };
  }

  /** What `enhanced` comes to where nothing is around the method, without what Nest prepares for each call. */
  private plain(name: string, instance: object): HandlerFunction {
    return async (message, delivery) => {
      const result = await this.host.callHandler(instance, name, [message, delivery]);
      return isObservable(result) ? lastValueFrom(result, { defaultValue: undefined }) : result;
    };
  }
}

/** A handler where it was found. */
interface FoundMethod {
  readonly wrapper: InstanceWrapper;
  readonly method: ClassMethod;
}

/** @throws HF_CONFIG_INVALID when there are any */
function refuse(kind: EnhancerKind, missing: readonly string[]): void {
  if (missing.length === 0) return;
  const problem = `Nest would not run ${missing.join(', ')} of the ${kind} around it: make its class a controller, or give instances that are made once`;
  throw hfError('HF_CONFIG_INVALID', { problems: [problem] });
}
