import { shareOf } from '../delivery/permits.js';
import { dampedLogger } from '../monitoring/damped-logger.js';
import { emit } from '../monitoring/events.js';
import type { Store } from '../store/store.port.js';
import { BranchAttempts } from '../try-confirm-cancel/branch-attempt.js';
import { BranchRunner } from '../try-confirm-cancel/branch-runner.js';
import type { Assembly } from './assembly.js';
import type { SagaRunnerShare } from './sagas-of-process.js';

/** Branches in work at once in a process, where the connections allow it. */
const CONCURRENCY = 10;

/** What ends the branches of this process's tries; undefined when it has none. */
export function branchRunnerOf(
  { store, units, runtime, tryRegister }: Assembly,
  { inHand, connections, sharing }: SagaRunnerShare,
): BranchRunner | undefined {
  const { tries } = tryRegister;
  if (store === undefined || units === undefined || tries.length === 0) return undefined;
  const { clock, random, scheduler, logger } = runtime;
  for (const { name, dataSource } of tries.filter((each) => each.dataSource !== undefined))
    logger.warn('a try has another DataSource than the store: its confirm and cancel may run more than once, and have to recognise it', {
      method: name,
      dataSource,
    });
  const tryOf = (name: string) => tryRegister.find(name);
  return new BranchRunner({
    store: store.branches.work,
    attempts: new BranchAttempts({ store: store.branches.work, units, random, scheduler, inHand, logger, tryOf }),
    methods: tryRegister.names,
    concurrency: shareOf(store.maxConcurrency, CONCURRENCY, sharing + 1),
    permits: connections,
    scheduler,
    logger: dampedLogger(logger, clock),
  });
}

/** Says which open branches this process has no try for: nobody else may have it either. */
export async function tellUnservedBranches(store: Store, { tryRegister, runtime }: Assembly): Promise<void> {
  for (const open of await store.branches.operations.openBesides(tryRegister.names)) {
    emit('branch:unserved', () => open);
    runtime.logger.warn(
      'branches that have not ended are of a try this process does not have; keep a process that has it, or give the try its old name',
      open,
    );
  }
}
