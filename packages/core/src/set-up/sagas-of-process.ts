import { type Permits, shareOf } from '../delivery/permits.js';
import type { WorkInHand } from '../delivery/work-in-hand.js';
import { dampedLogger } from '../monitoring/damped-logger.js';
import { emit } from '../monitoring/events.js';
import { SagaAttempts } from '../saga/saga-attempt.js';
import { hfError } from '../errors/catalogue.js';
import { changedError, longestStepMs } from '../saga/saga-course.js';
import type { SagaRegister } from '../saga/saga-register.js';
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
  { store, units, runtime, sagaRegister, storedSagas, stepAsking, elsewhere }: Assembly,
  { inHand, connections, sharing }: SagaRunnerShare,
): SagaRunner | undefined {
  const { definitions } = sagaRegister;
  if (store === undefined || units === undefined || stepAsking === undefined || definitions.length === 0) return undefined;
  const { clock, random, scheduler } = runtime;
  for (const { saga, step, dataSource } of stepsElsewhere(sagaRegister))
    runtime.logger.info(
      'a step of a saga runs in another DataSource than the store: at least once, behind a guard row which makes a repeat a no-op',
      {
        saga,
        step,
        dataSource,
      },
    );
  const attempts = new SagaAttempts({
    store: store.sagas,
    units,
    clock,
    random,
    scheduler,
    inHand,
    logger: runtime.logger,
    asking: stepAsking,
    elsewhere,
    nudge: () => runner.nudge(),
    sagaOf: (name, version) => sagaRegister.find(name, version),
    longestStepMs: longestStepMs(definitions),
    isStopping: () => runner.isStopping,
  });
  const runner: SagaRunner = new SagaRunner({
    store: store.sagas,
    attempts,
    versions: sagaRegister.outlines,
    concurrency: shareOf(store.maxConcurrency, CONCURRENCY, sharing + 1),
    permits: connections,
    clock,
    scheduler,
    logger: dampedLogger(runtime.logger, clock),
    ended: (id) => storedSagas?.ended(id),
  });
  return runner;
}

/**
 * Says which open instances this process has no definition of: nobody else may have it either.
 *
 * @throws HF_SAGA_CHANGED for instances of a version this process has, with other steps
 */
export async function tellUnserved(store: Store, { sagaRegister, runtime }: Assembly): Promise<void> {
  for (const { count, ...open } of await store.sagas.operations.openBesides(sagaRegister.outlines)) {
    const { saga, version } = open;
    const here = sagaRegister.find(saga, version);
    if (here !== undefined) throw changedError(open, here.outline);
    emit('saga:unserved', () => ({ saga, version, count }));
    runtime.logger.warn(
      'sagas that have not ended are of a version this process does not have; keep a process that has it until they have ended',
      { saga, version, count },
    );
  }
}

/** DataSources besides the store's in which steps of sagas run. */
export function stepDataSources(register: SagaRegister): readonly string[] {
  return [...new Set(stepsElsewhere(register).map(({ dataSource }) => dataSource))];
}

/** Sees to it that the DataSources of steps have a table for guard rows. @throws HF_SAGA_STEP_TABLE where it is made by hand, and is not there */
export async function haveStepGuards({ stepGuards }: Store, { sagaRegister, settings }: Assembly): Promise<void> {
  const wanted = stepDataSources(sagaRegister);
  const missing = wanted.length === 0 ? [] : await stepGuards.without(wanted);
  const [dataSource] = missing;
  if (dataSource === undefined) return;
  if (!settings.migrate) throw hfError('HF_SAGA_STEP_TABLE', { dataSource });
  await stepGuards.create(missing);
}

function stepsElsewhere({ definitions }: SagaRegister) {
  return definitions.flatMap(({ name: saga, steps }) =>
    steps.flatMap(({ name: step, dataSource }) => (dataSource === undefined ? [] : [{ saga, step, dataSource }])),
  );
}
