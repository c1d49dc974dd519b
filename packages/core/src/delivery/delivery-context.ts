import { AsyncLocalStorage } from 'node:async_hooks';
import type { Delivery } from './delivery.js';

const storage = new AsyncLocalStorage<Delivery>();

/** The delivery whose handler is running here; messages it publishes name it as their cause. */
export function currentDelivery(): Delivery | undefined {
  return storage.getStore();
}

/** Runs a handler with its delivery in scope. */
export function withDelivery<T>(delivery: Delivery, work: () => T): T {
  return storage.run(delivery, work);
}
