import type { WorkInHand } from '../delivery/work-in-hand.js';
import { hfError } from '../errors/catalogue.js';
import type { Scheduler } from '../time/scheduler.js';

/** How one attempt is called. */
export interface StepCallTerms {
  readonly saga: string;
  readonly id: string;
  readonly step: string;
  readonly timeoutMs: number;
}

/** One call of a step or a compensation: its time-out, its abort signal, and the end of it when stopping cannot wait. */
export class StepCall {
  private readonly controller = new AbortController();

  constructor(
    private readonly parts: { readonly scheduler: Scheduler; readonly inHand: WorkInHand },
    private readonly terms: StepCallTerms,
  ) {}

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Settles at the time-out, and when stopping gives up, even when the step never does. */
  run(step: () => Promise<void>): Promise<void> {
    const { scheduler, inHand } = this.parts;
    const { step: name, saga, id, timeoutMs } = this.terms;
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
      const stopping = () => giveUp(hfError('HF_STOPPING', { activity: `the step ${name} of the saga ${saga} ${id}` }));
      const timer = scheduler.after(timeoutMs, () => giveUp(hfError('HF_SAGA_STEP_TIMEOUT', { step: name, saga, id, timeoutMs })));
      inHand.add(stopping);
      if (inHand.isGivenUp) return stopping();
      step().then(
        () => end(resolve),
        (error: unknown) => end(() => reject(error)),
      );
    });
  }
}
