import { ContextSlot } from '../context/context-slot.js';

const slot = new ContextSlot<string>();

/** Id of the orchestrated saga whose step runs here; undefined outside one. */
export function currentSagaId(): string | undefined {
  return slot.get();
}

/** Runs a step: what it publishes belongs to its saga. */
export function inSaga<T>(id: string, step: () => T): T {
  return slot.run(id, step);
}
