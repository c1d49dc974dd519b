import { setTimeout } from 'node:timers/promises';
import { defineSaga, type Holdfast, NonRetryableError, type SagaBuilder, type SagaContext } from '@holdfast/core';
import type { DataSource } from 'typeorm';
import type { Starting } from './options.js';

interface Order {
  how: Starting['how'];
}

const RETRY = { attempts: 6, backoff: { delay: 10, factor: 1, jitter: 'none' } } as const;

/**
 * A saga whose steps and compensations write one row of `effect` each, and whose last one fails where it is told to. The second one does it in a
 * transaction of its own DataSource, the ledger.
 */
export function orderSaga(dataSource: DataSource, ledger: DataSource): SagaBuilder<Order> {
  const effectIn = (home: DataSource) => (step: string) => async (saga: SagaContext<Order>) => {
    const values = [step, saga.id, saga.attempt, process.pid];
    await home.query('insert into effect (subscription, message_id, attempt, pid) values ($1, $2, $3, $4)', values);
  };
  const [effect, effectThere] = [effectIn(dataSource), effectIn(ledger)];
  const last = effect('ship');
  return defineSaga<Order>('order', { version: 1 })
    .step('reserve', effect('reserve'), { compensate: effect('release'), retry: RETRY, compensateRetry: RETRY })
    .step('charge', effectThere('charge'), {
      compensate: effectThere('refund'),
      dataSource: 'ledger',
      retry: RETRY,
      compensateRetry: RETRY,
    })
    .step(
      'ship',
      async (saga) => {
        await last(saga);
        if (saga.state.how === 'refused') throw new NonRetryableError('no van');
        // Nothing is wrong until COMMIT.
        if (saga.state.how === 'refused at commit') await dataSource.query('insert into veto values (1)');
      },
      { retry: RETRY },
    );
}

/** Starts instances, each in a unit of its own, and again where it does not know whether it has. */
export async function startSagas<How>(
  bus: Holdfast,
  saga: SagaBuilder<{ how: How }>,
  { prefix, count, how }: { readonly prefix: string; readonly count: number; readonly how: How },
): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const id = `${prefix}-${n}`;
    while (
      !(await bus.sagas.start(saga, { how }, { id }).then(
        () => true,
        () => false,
      ))
    )
      await setTimeout(100);
  }
}
