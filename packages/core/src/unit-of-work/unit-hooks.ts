import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import type { Hook, Unit } from './unit.js';

/** Runs the hooks registered for the moment before COMMIT, also those registered meanwhile, once the framework has done what it was asked for; what one throws fails the unit. */
export async function runBeforeHooks<Outgoing>(unit: Unit<Outgoing>): Promise<void> {
  await unit.root.settled();
  for (let hook = unit.nextBefore(); hook; hook = unit.nextBefore()) {
    await hook();
    await unit.root.settled();
  }
}

/** Runs hooks after the end of a unit, one after another; what one throws is logged and changes nothing. */
export async function runAfterHooks(hooks: readonly Hook[], name: 'afterCommit' | 'afterRollback', logger: Logger): Promise<void> {
  for (const hook of hooks) {
    try {
      await hook();
    } catch (error) {
      logger.error(`A hook given to ${name}() failed; the unit of work had ended and stays as it is.`, { error });
      emit('hook:failed', { hook: name, error });
    }
  }
}
