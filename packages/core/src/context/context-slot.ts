import { AsyncLocalStorage } from 'node:async_hooks';

/** What one slot holds here; those of other slots follow. Each slot is there once at most. */
interface Frame {
  readonly slot: ContextSlot<unknown>;
  readonly value: unknown;
  readonly outer: Frame | undefined;
}

/** One for all slots of the process: before Node 24 every promise pays for each storage there is. */
const storage = new AsyncLocalStorage<Frame>();

/** A value that belongs to an asynchronous context: whatever is called or awaited from there sees it, and nobody else. */
export class ContextSlot<T> {
  /** The value here; undefined where none was given. */
  get(): T | undefined {
    for (let frame = storage.getStore(); frame; frame = frame.outer) if (frame.slot === this) return frame.value as T;
    return undefined;
  }

  /** Runs `work` with this value. */
  run<R>(value: T, work: () => R): R {
    return storage.run(this.frame(value), work);
  }

  /** Gives what follows in the calling context this value. */
  enter(value: T): void {
    storage.enterWith(this.frame(value));
  }

  /** A fresh one each time: with the same store Node runs in the caller's own context, out of which what is entered later would leak. */
  private frame(value: T): Frame {
    return { slot: this as ContextSlot<unknown>, value, outer: without(this as ContextSlot<unknown>, storage.getStore()) };
  }
}

/** So that a context in which a value is entered again and again does not grow. */
function without(slot: ContextSlot<unknown>, frame: Frame | undefined): Frame | undefined {
  if (frame === undefined) return undefined;
  if (frame.slot === slot) return frame.outer;
  const outer = without(slot, frame.outer);
  return outer === frame.outer ? frame : { ...frame, outer };
}
