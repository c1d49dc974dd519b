import { hfError } from '../errors/catalogue.js';
import type { Command, MessageClass } from '../message/message.js';
import { className } from '../message/message-class.js';
import type { StepOptions } from '../saga/step-options.js';
import type { TryConfirmCancelOptions } from '../try-confirm-cancel/try-definition.js';
import type { UnitOptions } from '../unit-of-work/unit-of-work.js';
import type { IdempotentOptions, RetryOptions } from './policies.js';
import type { SubscriptionOptions } from './subscription-options.js';

/** What the decorators of one method say; a decorator that is not there leaves its field out. */
export interface MethodMetadata {
  /** Options of `@Retry`. */
  readonly retry?: number | false | RetryOptions;
  /** Options of `@Idempotent`, empty when none were given. */
  readonly idempotent?: IdempotentOptions<never>;
  /** Options of `@Transactional`, empty when none were given. */
  readonly transactional?: UnitOptions;
  /** What `@OnMessage` subscribes to: this method is a handler. */
  readonly subscription?: {
    readonly types: MessageClass | readonly MessageClass[];
    readonly options: SubscriptionOptions & { name?: string };
  };
  /** How the subscription of a handler of another framework reads (`@Durable`): this method is a handler where that framework says of what. */
  readonly durable?: SubscriptionOptions & { name: string };
  /** Options of `@Step`, empty when none were given: this method is a step of a saga. */
  readonly step?: StepOptions;
  /** Name of the method that undoes this step. */
  readonly compensate?: string;
  /** The command whose requests this handler undoes. */
  readonly compensates?: MessageClass<Command<unknown>>;
  /** Options of `@TryConfirmCancel`: this method is a try. */
  readonly tryConfirmCancel?: TryConfirmCancelOptions;
}

/** A decorator as it was applied: enough to write its metadata, or to refuse it. */
export interface Decoration<K extends keyof MethodMetadata = keyof MethodMetadata> {
  /** Name of the decorator, for errors. */
  readonly decorator: string;
  readonly kind: K;
  readonly value: Required<MethodMetadata>[K];
  /** What the decorator was called with. */
  readonly target: object;
  readonly name: string;
  readonly descriptor: PropertyDescriptor | undefined;
}

/**
 * Takes over a method as soon as it has its first policy, to make direct calls keep it.
 *
 * @param method `descriptor` is that of the decoration in progress, which may be changed; undefined when the class was complete before
 */
export type MethodAdopter = (method: {
  readonly target: object;
  readonly name: string;
  readonly descriptor: PropertyDescriptor | undefined;
}) => void;

// In the global symbol registry, so that all copies of this package read and write the same metadata.
const TABLE = Symbol.for('holdfast.methods');
const REGISTRY = Symbol.for('holdfast.methods.registry');

type Table = Map<string, MethodMetadata>;
/** Methods with policies in the order they were declared, and who takes them over. */
interface Registry {
  readonly methods: { readonly target: object; readonly name: string }[];
  adopter: MethodAdopter | undefined;
}

/**
 * Writes what a method decorator says. The metadata belongs to the method's name on its class, not to the function, so it stays when another
 * decorator replaces the function, and the order of decorators does not matter.
 *
 * @throws HF_DECORATOR_TARGET when the decorator stands on something else than a method, on a generator, or twice on one method
 */
export function declareMethod<K extends keyof MethodMetadata>(decoration: Decoration<K>): void {
  const { decorator, kind, value, target, name, descriptor } = decoration;
  const refuse = (reason: string): never => {
    throw hfError('HF_DECORATOR_TARGET', { decorator, target: targetName(target, name), reason });
  };
  const misplaced = whyMisplaced(target, name, descriptor);
  if (misplaced) refuse(misplaced);
  const table = ownTable(target);
  const before = table.get(name) ?? {};
  if (kind in before) refuse('it is there already, and which of the two counts would depend on their order');
  table.set(name, { ...before, [kind]: value });
  // A handler is called by the engine, which keeps its policies; only policies change what a direct call does.
  const isFirstPolicy = isPolicy(kind) && !Object.keys(before).some(isPolicy);
  if (isFirstPolicy) adopt(target, name, descriptor);
}

function isPolicy(kind: string): boolean {
  return kind === 'retry' || kind === 'idempotent' || kind === 'transactional' || kind === 'tryConfirmCancel';
}

/**
 * What the decorators of a method say, as it would be called on an instance: an override without decorators has none.
 *
 * @param prototype prototype of the class the method is looked up on
 */
export function methodMetadata(prototype: object, name: string): MethodMetadata | undefined {
  const owner = ownerOf(prototype, name);
  return owner && readTable(owner)?.get(name);
}

/** A decorated method of a class. */
export interface DecoratedMethod {
  readonly name: string;
  readonly metadata: MethodMetadata;
  /** The prototype it is declared on: that of the class or of one of its ancestors. */
  readonly owner: object;
  /** False when a class further down overrides it, so that only `super` reaches it. */
  readonly isEffective: boolean;
}

/** All decorated methods of a class and of its ancestors. Looks at no instance and calls no getter. */
export function decoratedMethods(prototype: object): readonly DecoratedMethod[] {
  return [...chainOf(prototype)].flatMap((owner) =>
    [...(readTable(owner) ?? [])].map(([name, metadata]) => ({ name, metadata, owner, isEffective: ownerOf(prototype, name) === owner })),
  );
}

/**
 * Says who makes direct calls of decorated methods keep their policies; called for those declared already and for all to come. The first one
 * stays, so that two copies of a framework's glue do not wrap a method twice.
 */
export function adoptMethods(adopter: MethodAdopter): void {
  const known = registry();
  if (known.adopter) return;
  known.adopter = adopter;
  for (const { target, name } of known.methods) adopter({ target, name, descriptor: undefined });
}

/** `Class.method`, for errors and durable names. */
export function targetName(target: object, name: PropertyKey | undefined): string {
  const holder = typeof target === 'function' ? target : (target as { constructor?: { name?: string } }).constructor;
  const text = holder ? className(holder) : 'an anonymous class';
  return name === undefined ? text : `${text}.${String(name)}`;
}

function whyMisplaced(target: unknown, name: unknown, descriptor: unknown): string | undefined {
  if (name === undefined) return 'it is a class or a parameter of its constructor';
  if (typeof descriptor === 'number') return 'it is a parameter';
  if (typeof target === 'function') return 'it is static, and there is no instance to find the application by';
  if (typeof name !== 'string') return 'its name is a symbol, which cannot be written down';
  if (typeof descriptor !== 'object' || descriptor === null)
    return 'it is a property, and a function in it is made anew for each instance; write a method';
  const { get, set, value } = descriptor as PropertyDescriptor;
  if (get || set) return 'it is a getter or setter';
  if (typeof value !== 'function') return 'it is not a method';
  const kind = (value as { readonly [Symbol.toStringTag]?: string })[Symbol.toStringTag];
  if (kind === 'GeneratorFunction' || kind === 'AsyncGeneratorFunction')
    return 'it is a generator, which goes on after the call has returned; collect the values and return them';
  return undefined;
}

function adopt(target: object, name: string, descriptor: PropertyDescriptor | undefined): void {
  const known = registry();
  known.methods.push({ target, name });
  known.adopter?.({ target, name, descriptor });
}

function registry(): Registry {
  const holder = globalThis as { [REGISTRY]?: Registry };
  holder[REGISTRY] ??= { methods: [], adopter: undefined };
  return holder[REGISTRY];
}

function ownTable(target: object): Table {
  if (!Object.hasOwn(target, TABLE)) Object.defineProperty(target, TABLE, { value: new Map() });
  return readTable(target) as Table;
}

function readTable(target: object): Table | undefined {
  return Object.hasOwn(target, TABLE) ? (target as { readonly [TABLE]?: Table })[TABLE] : undefined;
}

function ownerOf(prototype: object, name: string): object | undefined {
  for (const owner of chainOf(prototype)) if (Object.hasOwn(owner, name)) return owner;
  return undefined;
}

function* chainOf(prototype: object): Iterable<object> {
  for (let owner: object | null = prototype; owner && owner !== Object.prototype; owner = Object.getPrototypeOf(owner)) yield owner;
}
