import {
  type AsyncMethod,
  ContextSlot,
  type DecoratedMethod,
  decoratedMethods,
  type Holdfast,
  hfError,
  methodMetadata,
  type MethodMetadata,
  type MethodPolicies,
  targetName,
} from '@holdfast/core';

/** Injection token of an application's host, and name of the hidden property; the same in all copies of this package. */
export const HOLDFAST_HOST = Symbol.for('holdfast.nest.host');

/** A direct call of a decorated method. */
export interface MethodCall {
  readonly instance: object;
  /** The prototype the method is declared on. */
  readonly owner: object;
  readonly name: string;
  /** The method as it was written. */
  readonly original: AsyncMethod;
  readonly args: never[];
}

/** A call of a handler by the engine, which has already applied the policies. */
interface HandlerCall {
  /** The prototype that declares the method which is called: one further up is reached by `super`, and has policies of its own. */
  readonly owner: object;
  readonly name: string;
  isTaken: boolean;
}

/**
 * Applies the policies of decorated methods to direct calls, for one application. It depends on nothing, so that every provider may depend
 * on it, also those the options of Holdfast are made of.
 */
export class MethodHost {
  private engine: Holdfast | undefined;
  /** By class, then by the prototype a method is declared on, then by its name. */
  private readonly guarded = new Map<object, Map<object, Map<string, Guarded>>>();
  private readonly names = new Map<string, number>();
  /** Handlers of Nest's own that the engine calls, by the prototype that declares them. */
  private readonly patternHandlers = new Map<object, Set<string>>();
  private readonly handlerCalls = new ContextSlot<HandlerCall>();

  /** Whether the engine can keep a promise now: before, and after, a method would write outside any transaction. */
  phase: 'starting' | 'running' | 'ended' = 'starting';

  /** Says which engine applies the policies. */
  attach(engine: Holdfast): void {
    this.engine = engine;
  }

  /**
   * Says how a try is called; before `prepare`.
   *
   * @param make gives the function to call it by, from the method as it was written
   */
  registerTry(
    { prototype, owner, name }: Pick<DecoratedMethod, 'owner' | 'name'> & { readonly prototype: object },
    make: (method: AsyncMethod) => AsyncMethod,
  ): void {
    const guarded: Guarded = { original: undefined, run: undefined as never };
    const method = methodOf(guarded);
    Object.defineProperty(method, 'length', { value: (Reflect.get(owner, name) as AsyncMethod).length });
    guarded.run = make(method);
    this.ofOwner(prototype, owner).set(name, guarded);
  }

  /** Calls a handler for the engine: the wrapper lets this call through, once, and applies the policies to any other. */
  callHandler(instance: object, name: string, args: unknown[]): unknown {
    const method = (instance as Record<string, (...args: unknown[]) => unknown>)[name] as (...args: unknown[]) => unknown;
    const owner = declaringPrototype(instance, name);
    return this.handlerCalls.run({ owner, name, isTaken: false }, () => method.apply(instance, args));
  }

  /** Says that the engine calls this method, though `@OnMessage` does not stand on it; before `prepare`. */
  declareHandler(owner: object, name: string): void {
    entry(this.patternHandlers, owner, () => new Set<string>()).add(name);
  }

  /** Runs what will call such a method for the engine: as in `callHandler`, that call is let through. */
  withHandlerCall<T>(owner: object, name: string, work: () => T): T {
    return this.handlerCalls.run({ owner, name, isTaken: false }, work);
  }

  /** A direct call, as the wrapper of the method sees it. */
  call(call: MethodCall): Promise<unknown> {
    if (this.takeHandlerCall(call)) return call.original.apply(call.instance, call.args);
    const metadata = methodMetadata(call.owner, call.name) ?? {};
    // By hand a handler is no delivery: there is nothing to try again and nothing to remember, but its rows still belong together.
    if (this.isHandler(call, metadata) && !metadata.transactional) return call.original.apply(call.instance, call.args);
    return this.callGuarded(call, metadata);
  }

  /**
   * Tells the engine about the decorated methods of a class that are no handlers, before it starts.
   *
   * @returns what is wrong with them
   */
  prepare(prototype: object): readonly unknown[] {
    const errors: unknown[] = [];
    for (const { name, metadata, owner } of decoratedMethods(prototype)) {
      if (this.isHandler({ owner, name }, metadata)) continue;
      try {
        this.guardedMethod(prototype, { owner, name, metadata });
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  }

  private callGuarded(call: MethodCall, metadata: MethodMetadata): Promise<unknown> {
    try {
      if (metadata.transactional || metadata.idempotent || metadata.tryConfirmCancel) this.assertRunning(call);
      const { owner, name, original } = call;
      const guarded = this.guardedMethod(Object.getPrototypeOf(call.instance), { owner, name, metadata });
      guarded.original = original;
      return guarded.run.apply(call.instance, call.args);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  private assertRunning({ instance, name }: MethodCall): void {
    const target = targetName(instance, name);
    if (this.phase === 'ended') throw hfError('HF_STOPPING', { activity: `a call of ${target}` });
    if (this.engine && this.phase === 'starting') throw hfError('HF_NOT_STARTED', { call: target });
  }

  private guardedMethod(prototype: object, { owner, name, metadata }: Pick<DecoratedMethod, 'owner' | 'name' | 'metadata'>): Guarded {
    const ofOwner = this.ofOwner(prototype, owner);
    const { retry, idempotent, transactional, tryConfirmCancel } = metadata;
    if (tryConfirmCancel !== undefined && !ofOwner.has(name)) throw superTry(targetName(owner, name));
    const policies = (
      this.isHandler({ owner, name }, metadata) ? { transactional } : { retry, idempotent, transactional }
    ) as MethodPolicies;
    return entry(ofOwner, name, () => this.guard(this.uniqueName(durableName(prototype, owner, name)), policies));
  }

  private ofOwner(prototype: object, owner: object): Map<string, Guarded> {
    const ofClass = entry(this.guarded, prototype, () => new Map<object, Map<string, Guarded>>());
    return entry(ofClass, owner, () => new Map<string, Guarded>());
  }

  /** Called by hand, a handler of a pattern whose microservice was never connected is still one. */
  private isHandler({ owner, name }: Pick<DecoratedMethod, 'owner' | 'name'>, { subscription, durable }: MethodMetadata): boolean {
    return subscription !== undefined || durable !== undefined || this.patternHandlers.get(owner)?.has(name) === true;
  }

  private guard(name: string, policies: MethodPolicies): Guarded {
    if (!this.engine) throw hfError('HF_CONFIG_INVALID', { problems: [`${name} was called before HoldfastModule had its options`] });
    const guarded: Guarded = { original: undefined, run: undefined as never };
    guarded.run = this.engine.guard(name, policies, methodOf(guarded));
    return guarded;
  }

  /** The engine knows methods by name: two classes of one name must not share their policies. */
  private uniqueName(name: string): string {
    const count = (this.names.get(name) ?? 0) + 1;
    this.names.set(name, count);
    return count === 1 ? name : `${name}-${count}`;
  }

  private takeHandlerCall({ owner, name }: MethodCall): boolean {
    const call = this.handlerCalls.get();
    if (!call || call.isTaken || call.name !== name || call.owner !== owner) return false;
    call.isTaken = true;
    return true;
  }
}

/** Where the method of an instance is declared; something put on the instance itself stands in for that one, as a spy does. */
function declaringPrototype(instance: object, name: string): object {
  let prototype = Object.getPrototypeOf(instance) as object;
  while (!Object.hasOwn(prototype, name)) {
    const next = Object.getPrototypeOf(prototype) as object | null;
    if (next === null) break;
    prototype = next;
  }
  return prototype;
}

/** A method with its policies around it, and the method as it was written: known when it is first called. */
interface Guarded {
  run: AsyncMethod;
  original: AsyncMethod | undefined;
}

/** The method as it was written, once it is known. */
function methodOf(guarded: Guarded): AsyncMethod {
  return function (this: object, ...args: never[]): Promise<unknown> {
    return (guarded.original as AsyncMethod).apply(this, args);
  };
}

/** Its confirm and cancel are those of the instance, which may have been overridden with it. */
function superTry(method: string): Error {
  const problem = 'it is overridden, or its class is not among the providers; give the override another name, and call the try from there';
  return hfError('HF_TCC_DEFINITION', { method, problem });
}

/** `Class.method` of the class it is called on; what only `super` reaches has its ancestor's name in it, because it is remembered apart. */
function durableName(prototype: object, owner: object, name: string): string {
  const text = targetName(prototype, name);
  const isEffective = decoratedMethods(prototype).some((method) => method.owner === owner && method.name === name && method.isEffective);
  return isEffective ? text : `${targetName(prototype, undefined)}.${targetName(owner, name)}`;
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
