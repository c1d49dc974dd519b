import { hfError } from '../errors/catalogue.js';
import { describeAs, type MessageDescription, problemOfType } from './message-class.js';
import type { Command, EventMessage, MessageClass } from './message.js';

/** Whether a type that no class of the program stands for is an event or a command. */
export type UntypedKind = 'event' | 'command';

/**
 * A message of a type that is known by name only: what `untypedMessage` makes, and a test sees as published. Nothing checks its data, which may be any
 * JSON value, and it is sent as version 1.
 */
export class UntypedMessage {
  private constructor(
    /** CloudEvents type. */
    readonly type: string,
    /** Any JSON value. */
    readonly data: unknown,
  ) {}

  /** As `untypedMessage`. */
  static make(type: string, kind: UntypedKind, data: unknown): UntypedMessage {
    const message = new UntypedMessage(type, data);
    describeAs(message, describeUntyped(type, kind, UntypedMessage as unknown as MessageClass)); // its constructor is nobody's
    return message;
  }
}

/**
 * A class for a type that is known by name only, for adapters whose callers write `'order.placed'` and not a class. Its data is whatever comes: the
 * handler gets the JSON value itself, of any version.
 *
 * @param type CloudEvents type
 * @throws HF_CONFIG_INVALID when it cannot be a type
 */
export function untypedClass(type: string, kind: 'command'): MessageClass<Command<unknown>>;
export function untypedClass(type: string, kind: 'event'): MessageClass<EventMessage>;
export function untypedClass(type: string, kind: UntypedKind): MessageClass;
export function untypedClass(type: string, kind: UntypedKind): MessageClass {
  // Named by its type, for error messages.
  const target = { [type]: class {} }[type] as MessageClass;
  describeAs(target, describeUntyped(type, kind, target));
  return target;
}

/**
 * A message of a type that is known by name only: give it to `bus.publish`, or for a command to `bus.send` and `bus.request`.
 *
 * @param type CloudEvents type
 * @param data any value JSON can carry, also a text or a list
 * @throws HF_CONFIG_INVALID when the type cannot be one
 */
export function untypedMessage(type: string, kind: 'command', data: unknown): Command<unknown>;
export function untypedMessage(type: string, kind: 'event', data: unknown): EventMessage;
export function untypedMessage(type: string, kind: UntypedKind, data: unknown): object {
  return UntypedMessage.make(type, kind, data);
}

function describeUntyped(type: string, kind: UntypedKind, target: MessageClass): MessageDescription {
  const problem = problemOfType(type);
  if (problem !== undefined) throw hfError('HF_CONFIG_INVALID', { problems: [problem] });
  const isCommand = kind === 'command';
  return { type, version: 1, schema: undefined, destination: undefined, upcast: {}, isCommand, isJson: true, class: target };
}
