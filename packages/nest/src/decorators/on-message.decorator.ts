import {
  declareMethod,
  type Handler,
  hfError,
  type MessageClass,
  type MessageOf,
  type MethodDescriptor,
  type OnMessageArgs,
  targetName,
} from '@holdfast/core';
import { declareHandlerParams } from '../handlers/handler-params.js';

/**
 * Subscribes a method: it is called with `(message, delivery)`, and for a command its result is the reply.
 *
 * Each handler is a durable subscription of its own, so a failing one never makes another run again. `@Retry`, `@Idempotent` and
 * `@Transactional` on the same method say how; the order in which they are written does not matter. Guards, pipes and interceptors apply as
 * elsewhere in Nest (context type `'holdfast'`); an exception filter may look at an error or replace it, and the message has failed all the same.
 *
 * **Guarantee:** the handler gets every committed message of its types at least once, also after crashes and restarts.
 * **Not promised:** one call per message (see `@Idempotent`), or an order without `ordering: 'key'`.
 *
 * @param type the message class, or several of them; the parameter must be of this class
 * @param options durable name (required for events, a command's default is its type), start position, order, limits
 * @throws HF_DECORATOR_TARGET where the class is declared, on anything but a method, or twice on one
 */
export function OnMessage<const T extends MessageClass | readonly MessageClass[]>(
  type: T,
  ...options: OnMessageArgs<T>
): (target: object, name: string, descriptor: MethodDescriptor<Handler<MessageOf<T>>>) => void {
  return (target, name, descriptor) => {
    if ([type].flat().some((one) => typeof one !== 'function')) {
      const reason =
        'a message class it names is undefined, as happens when two files import each other; move the class to a file of its own';
      throw hfError('HF_DECORATOR_TARGET', { decorator: 'OnMessage', target: targetName(target, name), reason });
    }
    const subscription = { types: type, options: { ...options[0] } };
    declareMethod({
      decorator: 'OnMessage',
      kind: 'subscription',
      value: subscription,
      target,
      name,
      descriptor: descriptor as PropertyDescriptor | undefined,
    });
    declareHandlerParams(target, name);
  };
}
