import { hfError } from '../errors/catalogue.js';
import type { Scheduler } from '../time/scheduler.js';
import type { WorkInHand } from './work-in-hand.js';

/** How a method of the user's is called. */
export interface TimedCallTerms {
  /** What it is, for a person: where it is broken off because stopping cannot wait. */
  readonly activity: string;
  readonly timeoutMs: number;
  /** What its time-out is told as. */
  readonly tooLong: () => Error;
}

/** One call of the user's that is no handler (a step of a saga, the end of a try, the schema of a message): its time-out, its abort signal, and the end of it when stopping cannot wait. */
export class TimedCall {
  private readonly controller = new AbortController();

  constructor(
    private readonly parts: { readonly scheduler: Scheduler; readonly inHand: WorkInHand },
    private readonly terms: TimedCallTerms,
  ) {}

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Settles at the time-out, and when stopping gives up, even when the method never does. */
  run(method: () => Promise<void>): Promise<void> {
    const { scheduler, inHand } = this.parts;
    const { activity, timeoutMs, tooLong } = this.terms;
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
      const stopping = () => giveUp(hfError('HF_STOPPING', { activity }));
      const timer = scheduler.after(timeoutMs, () => giveUp(tooLong()));
      inHand.add(stopping);
      if (inHand.isGivenUp) return stopping();
      method().then(
        () => end(resolve),
        (error: unknown) => end(() => reject(error)),
      );
    });
  }
}
