import type { WorkInHand } from '../delivery/work-in-hand.js';
import { hfError } from '../errors/catalogue.js';
import type { Scheduler } from '../time/scheduler.js';
import type { BranchOperation } from './branch-decisions.js';

/** How one attempt is called. */
export interface BranchCallTerms {
  readonly method: string;
  readonly id: string;
  readonly operation: BranchOperation;
  readonly timeoutMs: number;
}

/** One call of a confirm or a cancel: its time-out, its abort signal, and the end of it when stopping cannot wait. */
export class BranchCall {
  private readonly controller = new AbortController();

  constructor(
    private readonly parts: { readonly scheduler: Scheduler; readonly inHand: WorkInHand },
    private readonly terms: BranchCallTerms,
  ) {}

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Settles at the time-out, and when stopping gives up, even when the method never does. */
  run(method: () => Promise<void>): Promise<void> {
    const { scheduler, inHand } = this.parts;
    const { method: name, id, operation, timeoutMs } = this.terms;
    return new Promise<void>((resolve, reject) => {
      const end = (settle: () => void) => {
        timer.cancel();
        inHand.remove(stopping);
        settle();
      };
      const giveUp = (error: Error) =>
        end(() => {
          this.controller.abort(error);
          reject(error);
        });
      const stopping = () => giveUp(hfError('HF_STOPPING', { activity: `the ${operation} of ${name} (${id})` }));
      const timer = scheduler.after(timeoutMs, () => giveUp(hfError('HF_TCC_CALL_TIMEOUT', { operation, method: name, id, timeoutMs })));
      inHand.add(stopping);
      if (inHand.isGivenUp) return stopping();
      method().then(
        () => end(resolve),
        (error: unknown) => end(() => reject(error)),
      );
    });
  }
}
