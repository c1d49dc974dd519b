import { declareMethod, type SubscriptionOptions } from '@holdfast/core';

/**
 * Names the durable subscription of an `@EventPattern` handler under HoldfastStrategy, and says how it reads: order, batches, start position, limits.
 * Required there; a `@MessagePattern` handler, which has one owner, is named by its pattern unless this says otherwise.
 *
 * @param options `name` survives refactoring, and is unique in the service; the rest as for `@OnMessage`
 * @throws HF_DECORATOR_TARGET where the class is declared, on anything but a method, or twice on one; at start HF_NEST_STRATEGY_MISSING where no
 * microservice is connected with HoldfastStrategy
 */
export function Durable(options: SubscriptionOptions & { name: string }): MethodDecorator {
  return (target, name, descriptor) =>
    declareMethod({
      decorator: 'Durable',
      kind: 'durable',
      value: { ...options },
      target,
      name: name as string,
      descriptor: descriptor as PropertyDescriptor | undefined,
    });
}
