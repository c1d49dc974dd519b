import type { Delivery } from '@holdfast/core';
import type { ArgumentsHost } from '@nestjs/common';
import { HOLDFAST_CONTEXT } from './handler-params.js';

/**
 * The delivery a guard, an interceptor or an exception filter is called for; undefined when it is called for something else, such as an HTTP
 * request. The message itself is `context.getArgByIndex(0)`.
 *
 * @param context what Nest gave: its `getType()` is `'holdfast'` for handlers
 */
export function getDelivery(context: ArgumentsHost): Delivery | undefined {
  return context.getType<string>() === HOLDFAST_CONTEXT ? context.getArgByIndex<Delivery>(1) : undefined;
}
