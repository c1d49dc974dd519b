import { hfError } from '../errors/catalogue.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import { before } from '../time/before.js';
import type { Scheduler } from '../time/scheduler.js';
import type { Hook, Unit } from './unit.js';

/** How long one hook after the end of a unit is waited for: whoever waits for the unit, as a message in hand does, waits for its hooks. */
export const HOOK_MS = 30_000;

type AfterHook = 'afterCommit' | 'afterRollback';

/** What hooks after the end need. */
export interface AfterHookParts {
  readonly scheduler: Scheduler;
  readonly logger: Logger;
}

/** Runs the hooks registered for the moment before COMMIT, also those registered meanwhile, once the framework has done what it was asked for; what one throws fails the unit. */
export async function runBeforeHooks<Outgoing>(unit: Unit<Outgoing>): Promise<void> {
  await unit.root.settled();
  for (let hook = unit.nextBefore(); hook; hook = unit.nextBefore()) {
    await hook();
    await unit.root.settled();
  }
}

/** Runs hooks after the end of a unit, one after another; what one throws is logged and changes nothing, nor does one that does not end. */
export async function runAfterHooks(hooks: readonly Hook[], name: AfterHook, { scheduler, logger }: AfterHookParts): Promise<void> {
  const tooLate = () => hfError('HF_UOW_HOOK_TIMEOUT', { hook: name, timeoutMs: HOOK_MS });
  for (const hook of hooks) {
    try {
      const ending = hook();
      if (ending !== undefined) await before(scheduler, { ms: HOOK_MS, tooLate }, ending);
    } catch (error) {
      logger.error(`A hook given to ${name}() failed; the unit of work had ended and stays as it is.`, { error });
      emit('hook:failed', { hook: name, error });
    }
  }
}
