import { type Account, isRight, totalOf } from './account.js';

/** By a signal: the exit code is the one a shell expects. */
export class Interrupted extends Error {
  constructor(readonly exitCode: number) {
    super('interrupted');
  }
}

/** What is played: it ends with an account, or fails on the way. */
export interface Story {
  readonly failed: Promise<never>;
  run(): Promise<Account>;
  /** Stops whatever runs, in any state. */
  end(): Promise<void>;
}

/**
 * Plays a story to its end, and gives the exit code: 0 for an account that is right, 1 for one that is not and for a failure, that of the signal for an
 * interruption.
 *
 * @param close is given the last line
 * @param interrupted rejects with Interrupted
 */
export async function endOf(story: Story, close: (line: string) => void, interrupted: Promise<never>): Promise<number> {
  const played = story.run();
  try {
    const account = await Promise.race([played, interrupted, story.failed]);
    await story.end();
    close(totalOf(account));
    return isRight(account) ? 0 : 1;
  } catch (error) {
    // Interrupted or failed: what the story still does must not end the process before everything is cleaned up.
    played.catch(() => undefined);
    close(error instanceof Interrupted ? 'Stopping …' : String(error));
    await story.end();
    return error instanceof Interrupted ? error.exitCode : 1;
  }
}
