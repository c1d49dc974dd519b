import {
  type Delivery,
  describeMessage,
  type HandlerPolicies,
  Holdfast,
  hfError,
  type IdempotentOptions,
  isHoldfastError,
  untypedClass,
  type MessageClass,
  type MessageDescription,
  type MethodMetadata,
  methodMetadata,
} from '@holdfast/core';
import { Inject, Injectable, Optional } from '@nestjs/common';
import { foreignDecorators } from '../handlers/foreign-decorators.js';
import type { DiscoveredClass } from '../handlers/holdfast.explorer.js';
import { HoldfastMetadataAccessor } from '../handlers/holdfast-metadata.accessor.js';
import { HOLDFAST_HOST, MethodHost } from '../policies/method-host.js';
import { HoldfastContext } from './holdfast.context.js';
import { HoldfastStrategy } from './holdfast.strategy.js';
import type { PatternHandler } from './pattern-handler.js';
import { argumentsOf, type PatternMethod, payloadClass } from './pattern-method.js';

/** Brings the handlers that Nest gave to HoldfastStrategy to the engine. */
@Injectable()
export class PatternRegistrar {
  constructor(
    @Inject(Holdfast) private readonly holdfast: Holdfast,
    @Inject(HOLDFAST_HOST) private readonly host: MethodHost,
    @Inject(HoldfastMetadataAccessor) private readonly accessor: HoldfastMetadataAccessor,
    @Optional() @Inject(HoldfastStrategy) private readonly strategy: HoldfastStrategy | undefined,
  ) {}

  /**
   * Registers all of them, before the engine starts.
   *
   * @param found classes with decorated methods
   * @param names of subscriptions, with the handlers that have them; these are added
   * @returns what is wrong
   */
  register(found: readonly DiscoveredClass[], names: Map<string, string[]>): readonly unknown[] {
    const handlers = this.strategy?.takeHandlers() ?? [];
    const errors: unknown[] = this.unconnected(found, handlers);
    for (const handler of handlers) {
      const { owner, name } = handler.origin;
      this.host.declareHandler(owner, name);
      const metadata = methodMetadata(owner, name);
      // Those with decorators of ours are looked at with all the others.
      if (metadata === undefined) errors.push(...foreignDecorators(handler.origin.target, this.accessor.metadataKeys(handler.origin)));
      try {
        this.registerHandler(handler, metadata ?? {}, names);
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  }

  private registerHandler(handler: PatternHandler, metadata: MethodMetadata, names: Map<string, string[]>): void {
    const { owner, name: method } = handler.origin;
    const { retry, idempotent, transactional, durable } = metadata;
    const name = durable?.name ?? defaultName(handler);
    const others = names.get(name) ?? [];
    names.set(name, [...others, ...handler.targets]);
    if (others.length > 0) return;
    const policies = { ...durable, name, retry, idempotent: idempotent && withArguments(handler.origin, idempotent), transactional };
    const call = (data: unknown, delivery: Delivery) => this.host.withHandlerCall(owner, method, () => handler.call(data, delivery));
    this.holdfast.on(classesOf(handler), call, policies as HandlerPolicies<object>);
    if (!this.strategy?.isListening) this.holdfast.hold(name);
  }

  /** Methods with `@Durable` that no strategy has: their messages would wait for ever. */
  private unconnected(found: readonly DiscoveredClass[], handlers: readonly PatternHandler[]): unknown[] {
    const isConnected = ({ owner, name }: Pick<PatternMethod, 'owner' | 'name'>) =>
      handlers.some(({ origin }) => origin.owner === owner && origin.name === name);
    return found.flatMap(({ methods }) =>
      methods.flatMap((method): unknown[] => {
        const { durable, subscription } = method.metadata;
        if (subscription !== undefined && (durable !== undefined || isConnected(method)))
          return [`${method.target} has @OnMessage and what belongs to a handler of Nest's own: keep one of them`];
        return durable === undefined || isConnected(method) ? [] : [hfError('HF_NEST_STRATEGY_MISSING', { target: method.target })];
      }),
    );
  }
}

/** A command has one owner, so its type will do; a fact has many, and each needs a name that survives refactoring. */
function defaultName({ kind, types, origin: { target } }: PatternHandler): string {
  const [type] = types;
  if (kind === 'event' || type === undefined || types.length > 1) throw hfError('HF_NEST_SUBSCRIPTION_NAME', { target, patterns: types });
  return type;
}

/** The class of the payload where it is a message, with its schema and versions; else plain JSON. */
function classesOf({ origin, kind, types }: PatternHandler): readonly MessageClass[] {
  const declared = descriptionOf(payloadClass(origin));
  const wanted = kind === 'message' ? 'a command' : 'an event';
  if (declared !== undefined && declared.isCommand !== (kind === 'message'))
    throw `${origin.target} handles ${types.join(', ')} as ${wanted}, and its payload is ${declared.class.name}, which is ${declared.isCommand ? 'a command' : 'an event'}: use ${declared.isCommand ? '@MessagePattern' : '@EventPattern'}`;
  if (declared !== undefined && !types.includes(declared.type))
    throw `${origin.target} handles ${types.join(', ')}, and its payload is ${declared.class.name}, the class of ${declared.type}: make the two agree`;
  return types.map((type) => (type === declared?.type ? declared.class : untypedClass(type, kind === 'message' ? 'command' : 'event')));
}

function descriptionOf(target: unknown): MessageDescription | undefined {
  if (typeof target !== 'function') return undefined;
  try {
    return describeMessage(target as MessageClass);
  } catch (error) {
    if (isHoldfastError(error, 'HF_MESSAGE_UNDECLARED')) return undefined;
    throw error;
  }
}

/** Key functions are typed like the method, whose arguments Nest puts together. */
function withArguments(origin: PatternMethod, { key, ...options }: IdempotentOptions<never>): IdempotentOptions<[unknown, Delivery]> {
  if (key === undefined) return options;
  return { ...options, key: (data, delivery) => key(...(argumentsOf(origin, data, new HoldfastContext([delivery])) as never)) };
}
