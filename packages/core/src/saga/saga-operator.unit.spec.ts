import { asks, done, given, of, sagaOf } from './decide-scene.spec.js';
import { SagaOperator } from './saga-operator.js';
import type { OperatorChange, SagaChange, SagaOperationStore, StoredSaga } from './saga.store.port.js';

const ONCE = { retry: false } as const;

it('what a tool asks of a parked saga names the step that it stands for, and since when', async () => {
  const definition = sagaOf({
    pay: { ...ONCE, pivot: true },
    pack: { ...ONCE, after: 'pay' },
    bill: { ...ONCE, after: 'pay' },
  });
  const refused = { kind: 'refused', id: 'r-2', error: new Error('no stamp'), isDefinite: true } as const;
  const { progress } = given(definition)
    .when(done, of('bill', asks('r-2')))
    .after(100)
    .when(refused);
  let written: SagaChange | undefined;
  const operate = async (id: string, _action: unknown, change: OperatorChange) => {
    written = change({ id, progress, nowMs: 500 } as StoredSaga);
    return true;
  };
  await new SagaOperator({ operate } as unknown as SagaOperationStore).ask('skip', 's-1', { by: 'ann', reason: 'by hand' });
  const event = { kind: 'skipped', by: 'ann', reason: 'by hand', about: { step: 'bill', sinceMs: 100 } };
  expect(written?.reach?.tells).toEqual([{ id: 's-1', event }]);
  expect(written?.progress).toBe(progress);
});
