import 'reflect-metadata';

/** Metadata key, on the class, of where the arguments of a handler come from. */
export const HANDLER_PARAMS = 'holdfast:params';

/** Context type of handlers: what `ExecutionContext.getType()` says in guards, interceptors and filters. */
export const HOLDFAST_CONTEXT = 'holdfast';

/** Nest's number for the parameter that carries the payload: pipes see it as type 'body', as they do in its own message handlers. */
const PAYLOAD = 3;

/**
 * Where Nest puts the delivery for the handler's function: behind all parameters that may have a type in the metadata, because a pipe looks
 * at every argument, and one without a type is none of its business (a ValidationPipe would try to validate the Delivery).
 */
export const DELIVERY_INDEX = 9;

/** Tells Nest's context creator the arguments of a handler. */
export function declareHandlerParams(prototype: object, name: string): void {
  const params = {
    [`${PAYLOAD}:0`]: { index: 0, data: undefined, pipes: [] },
    [`${DELIVERY_INDEX}:1`]: { index: DELIVERY_INDEX, data: undefined, pipes: [] },
  };
  Reflect.defineMetadata(HANDLER_PARAMS, params, prototype.constructor, name);
}

/** Gives Nest's context creator the arguments by the numbers above. */
export const handlerParamsFactory = {
  exchangeKeyForValue: (type: number, _data: unknown, args: readonly unknown[]): unknown => (type === PAYLOAD ? args[0] : args[1]),
};
