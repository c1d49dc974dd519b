import type { Delivery } from '@holdfast/core';
import { BaseRpcContext } from './nest-microservices.js';

/** What `@Ctx()` gives in a handler under HoldfastStrategy, and `switchToRpc().getContext()` in its guards, interceptors and filters. */
export class HoldfastContext extends BaseRpcContext<[Delivery]> {
  /** The delivery the handler is called for: its attempt, key, headers, abort signal. */
  getDelivery(): Delivery {
    return this.getArgByIndex(0);
  }

  /** The pattern as text, which is the message's type. */
  getPattern(): string {
    return this.getDelivery().type;
  }

  /** Headers of the message, where instrumentation of Nest's looks for what a client attached. */
  getMetadata(): Readonly<Record<string, string>> {
    return this.getDelivery().headers;
  }
}
