import type { Delivery } from '@holdfast/core';
import type { ArgumentsHost } from '@nestjs/common';
import { HoldfastContext } from '../microservices/holdfast.context.js';
import { HOLDFAST_CONTEXT } from './handler-params.js';

/**
 * The delivery a guard, an interceptor or an exception filter is called for; undefined when it is called for something else, such as an HTTP
 * request. The message itself is `context.getArgByIndex(0)`.
 *
 * @param context what Nest gave: its `getType()` is `'holdfast'` for handlers with `@OnMessage`, `'rpc'` for those with a pattern
 */
export function getDelivery(context: ArgumentsHost): Delivery | undefined {
  const second = context.getArgByIndex<unknown>(1);
  if (context.getType<string>() === HOLDFAST_CONTEXT) return second as Delivery;
  return second instanceof HoldfastContext ? second.getDelivery() : undefined;
}
