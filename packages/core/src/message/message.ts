import { COMMAND_MARK, declareMessage } from './message-class.js';

/** The part of Standard Schema v1 that Holdfast reads; zod, valibot and arktype schemas fit as they are. @source https://standardschema.dev */
export interface StandardSchema<Output> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => unknown;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

/** A class whose instances are messages of type M. */
export type MessageClass<M = object> = abstract new (...args: never[]) => M;

/** The fields of a message or of a state, without its methods: what is serialised. */
export type DataOf<M> = {
  [K in Exclude<keyof M & string, '~reply'> as M[K] extends (...args: never[]) => unknown ? never : K]: M[K];
};

/** Options of `@Message`. */
export interface MessageOptions<Output> {
  /** Version of the data, a positive integer; default 1. Raise it when older services can no longer read the data. */
  version?: number;
  /**
   * Checks and converts the data, in its JSON form: at publish before it is stored, and again at delivery. An instance that fails throws
   * HF_MESSAGE_INVALID, a delivery that fails is parked. One that answers later has as long as the handler; then the attempt has failed. Default: no check.
   */
  schema?: StandardSchema<Output>;
  /** Where it goes: `'orders'`, or `'<transport>:<address>'`; default: the message's type on the default transport. */
  destination?: string;
  /**
   * One function per older version, each turning the data of version n into that of n + 1; it gets the data as JSON carried it. A version
   * without a path is parked as HF_MESSAGE_VERSION.
   */
  upcast?: { readonly [version: number]: (data: never) => object };
}

/**
 * Declares a class as a message with its CloudEvents type. Several classes may share a type; each subscription decodes into the class it
 * names. Writes metadata only, and is not inherited.
 *
 * @param type CloudEvents type, such as `'order.placed'`: printable, 1 to 255 characters; it is part of the contract between services
 * @throws HF_CONFIG_INVALID, when the class is loaded, naming it and what is wrong; HF_MESSAGE_UNDECLARED where an undeclared class is used
 */
export function Message<Output = never>(
  type: string,
  options?: MessageOptions<Output>,
): <M extends object>(
  target: MessageClass<M> & ([Output] extends [DataOf<M>] ? unknown : { 'the schema gives other fields than the class has': Output }),
) => void {
  return (target) => declareMessage(target, type, options as MessageOptions<unknown> | undefined);
}

/** A message that asks its one owner to act, with the type of the reply; extend it, and give no type for "no reply". */
export abstract class Command<Reply = void> {
  /** Exists for the compiler only; a string, not a unique symbol, so that two copies of the package agree. */
  declare readonly '~reply': Reply;
}
Object.defineProperty(Command.prototype, COMMAND_MARK, { value: true });

/** The reply type of a command. */
export type ReplyOf<C> = C extends Command<infer R> ? R : never;

/** Any instance of a message class that is not a command; a class, a promise, an array or a command does not fit. */
export type EventMessage = object & {
  readonly '~reply'?: never;
  readonly prototype?: never;
  readonly then?: never;
  readonly [Symbol.iterator]?: never;
};

/** What identifies a message; final as soon as the call returns, and says nothing about delivery. */
export interface MessageRef {
  /** Message id; unique together with `source`. */
  readonly id: string;
  /** Service that published it. */
  readonly source: string;
}

/** The message type of a class, or of a list of classes. */
export type MessageOf<T> = T extends MessageClass<infer M> ? M : T extends readonly MessageClass<infer M>[] ? M : never;

/** A value JSON can carry. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };
