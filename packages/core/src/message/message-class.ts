import { hfError } from '../errors/catalogue.js';
import { escapeControls, printable } from '../errors/printable.js';
import type { MessageClass, MessageOptions, StandardSchema } from './message.js';

/** Turns the data of one version into that of the next. */
export type Upcast = (data: never) => object;

/** What `@Message` says about a class. */
export interface MessageDescription {
  /** CloudEvents type. */
  readonly type: string;
  /** Version of the data, a positive integer. */
  readonly version: number;
  /** Checks and converts the data; undefined: no check. */
  readonly schema: StandardSchema<unknown> | undefined;
  /** Where it goes; undefined: its type on the default transport. */
  readonly destination: string | undefined;
  /** By older version: the function that turns its data into that of the next version. */
  readonly upcast: Readonly<Record<number, Upcast>>;
  /** True for a command, which has one owner; false for an event. */
  readonly isCommand: boolean;
  /** True where the data is any JSON value, of any version, and not the fields of an instance: see UntypedMessage. */
  readonly isJson: boolean;
  /** The class itself. */
  readonly class: MessageClass;
}

// In the global symbol registry, so that a class declared with one copy of this package is known to another.
const DESCRIPTION = Symbol.for('holdfast.message');
/** Marks the prototype of `Command`. */
export const COMMAND_MARK = Symbol.for('holdfast.command');

/** Longest type, in characters: what a routing key, a topic and an indexed column can all hold. */
const TYPE_LENGTH = 255;

/**
 * Writes what `@Message` was given onto the class. The last declaration of a class counts.
 *
 * @throws HF_CONFIG_INVALID naming the class and everything that is wrong with its options
 */
export function declareMessage(target: MessageClass, type: string, options: MessageOptions<unknown> = {}): void {
  const problems = problemsOf(type, options).map((problem) => `@Message on ${className(target)}: ${problem}`);
  if (problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems });
  describeAs(target, {
    type,
    version: options.version ?? 1,
    schema: options.schema,
    destination: options.destination,
    upcast: Object.freeze({ ...options.upcast }) as Readonly<Record<number, Upcast>>,
    isCommand: COMMAND_MARK in target.prototype,
    isJson: false,
    class: target,
  });
}

/** Writes a description onto a class, or onto one instance that has its own. */
export function describeAs(target: object, description: MessageDescription): void {
  Object.defineProperty(target, DESCRIPTION, { value: Object.freeze(description), configurable: true });
}

/**
 * What `@Message` says about a class, or about the class of an instance. A declaration is not inherited: a subclass is another message. An
 * UntypedMessage speaks for itself.
 *
 * @throws HF_MESSAGE_UNDECLARED naming the class
 */
export function describeMessage(message: MessageClass | object): MessageDescription {
  if (typeof message === 'object' && message !== null && Object.hasOwn(message, DESCRIPTION)) return Reflect.get(message, DESCRIPTION);
  const target = typeof message === 'function' ? message : classOf(message);
  if (typeof target === 'function' && Object.hasOwn(target, DESCRIPTION)) {
    return Reflect.get(target, DESCRIPTION) as MessageDescription;
  }
  throw hfError('HF_MESSAGE_UNDECLARED', { class: typeof target === 'function' ? className(target) : message });
}

/**
 * Describes the classes of one subscription, each of another type.
 *
 * @throws HF_MESSAGE_UNDECLARED, HF_MESSAGE_TYPE_TAKEN when two of them share a type
 */
export function describeMessages(classes: MessageClass | readonly MessageClass[]): readonly MessageDescription[] {
  const byType = new Map<string, MessageDescription>();
  for (const description of [classes].flat().map((one) => describeMessage(one as MessageClass))) {
    const other = byType.get(description.type);
    if (other && other.class !== description.class) {
      throw hfError('HF_MESSAGE_TYPE_TAKEN', {
        type: description.type,
        classes: `${className(other.class)} and ${className(description.class)}`,
      });
    }
    byType.set(description.type, description);
  }
  return [...byType.values()];
}

/** The name of a class, for error messages. */
export function className(target: { readonly name?: string } | MessageClass): string {
  const { name } = target as { readonly name?: unknown };
  return typeof name === 'string' && name !== '' ? name : 'an anonymous class';
}

/** The class of an instance: from the prototype, because a data field may be called `constructor`. */
function classOf(instance: unknown): unknown {
  if (typeof instance !== 'object' || instance === null) return undefined;
  return (Object.getPrototypeOf(instance) as { constructor?: unknown } | null)?.constructor;
}

function problemsOf(type: unknown, options: MessageOptions<unknown>): string[] {
  const version = options.version ?? 1;
  const problems: string[] = [];
  const typeProblem = problemOfType(type);
  if (typeProblem !== undefined) problems.push(typeProblem);
  if (!isVersion(version)) problems.push(`version must be a positive integer, it is ${printable(version)}`);
  if (options.destination !== undefined && !isPrintableName(options.destination)) {
    problems.push(`destination must be a printable text of 1 to ${TYPE_LENGTH} characters, it is ${printable(options.destination)}`);
  }
  if (options.schema !== undefined && typeof options.schema?.['~standard']?.validate !== 'function') {
    problems.push('schema must be a Standard Schema, as those of zod, valibot and arktype are');
  }
  for (const [from, upcast] of Object.entries(options.upcast ?? {})) {
    if (!isVersion(Number(from)) || Number(from) >= version) problems.push(`upcast ${printable(from)} must be a version below ${version}`);
    if (typeof upcast !== 'function') problems.push(`upcast ${printable(from)} must be a function`);
  }
  return problems;
}

/** What is wrong with the type of a message; undefined: nothing. */
export function problemOfType(type: unknown): string | undefined {
  if (isPrintableName(type)) return undefined;
  return `the type must be a printable text of 1 to ${TYPE_LENGTH} characters without blanks around it, it is ${printable(type)}`;
}

function isVersion(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

/** A text that may be a type or a destination. */
export function isPrintableName(value: unknown): boolean {
  if (typeof value !== 'string' || value.length === 0 || value.length > TYPE_LENGTH) return false;
  return value.trim() === value && escapeControls(value) === value;
}
