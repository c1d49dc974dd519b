import { type Permits, shareOf } from '../delivery/permits.js';
import type { WorkInHand } from '../delivery/work-in-hand.js';
import { dampedLogger } from '../monitoring/damped-logger.js';
import { emit } from '../monitoring/events.js';
import { longestStepMs, SagaAttempts } from '../saga/saga-attempt.js';
import type { SagaRegister } from '../saga/saga-register.js';
import type { SagaVersion } from '../saga/saga.store.port.js';
import { SagaRunner } from '../saga/saga-runner.js';
import type { Store } from '../store/store.port.js';
import type { Assembly } from './assembly.js';

/** Sagas in work at once in a process, where the connections allow it: as many as the deliveries of a subscription. */
const CONCURRENCY = 10;

/** What a process gives its sagas. */
export interface SagaRunnerShare {
  readonly inHand: WorkInHand;
  /** Connections that handlers and the steps of sagas share. */
  readonly connections: Permits;
  /** How many subscriptions want some too. */
  readonly sharing: number;
}

/** What works on the sagas of this process; undefined when it has none. */
export function sagaRunnerOf(
  { store, units, runtime, sagaRegister, storedSagas }: Assembly,
  { inHand, connections, sharing }: SagaRunnerShare,
): SagaRunner | undefined {
  const { definitions } = sagaRegister;
  if (store === undefined || units === undefined || definitions.length === 0) return undefined;
  const { clock, random, scheduler } = runtime;
  const attempts = new SagaAttempts({
    store: store.sagas,
    units,
    clock,
    random,
    scheduler,
    inHand,
    sagaOf: (name, version) => sagaRegister.find(name, version),
    longestStepMs: longestStepMs(definitions),
    isStopping: () => runner.isStopping,
  });
  const runner: SagaRunner = new SagaRunner({
    store: store.sagas,
    attempts,
    versions: versionsOf(sagaRegister),
    concurrency: shareOf(store.maxConcurrency, CONCURRENCY, sharing + 1),
    permits: connections,
    scheduler,
    logger: dampedLogger(runtime.logger, clock),
    ended: (id) => storedSagas?.ended(id),
  });
  return runner;
}

function versionsOf({ definitions }: SagaRegister): readonly SagaVersion[] {
  return definitions.map(({ name, version }) => ({ saga: name, version }));
}

/** Says which open instances this process has no definition of: nobody else may have it either. */
export async function tellUnserved(store: Store, { sagaRegister, runtime }: Assembly): Promise<void> {
  for (const { saga, version, count } of await store.sagas.operations.openBesides(versionsOf(sagaRegister))) {
    emit('saga:unserved', () => ({ saga, version, count }));
    runtime.logger.warn(
      'sagas that have not ended are of a version this process does not have; keep a process that has it until they have ended',
      { saga, version, count },
    );
  }
}
