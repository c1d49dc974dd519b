import { ContextSlot } from '../context/context-slot.js';
import type { Delivery } from './delivery.js';

const slot = new ContextSlot<Delivery>();

/** The delivery whose handler is running here; messages it publishes name it as their cause. */
export function currentDelivery(): Delivery | undefined {
  return slot.get();
}

/** Runs a handler with its delivery in scope. */
export function withDelivery<T>(delivery: Delivery, work: () => T): T {
  return slot.run(delivery, work);
}
