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
    written = await change({ id, progress, nowMs: 500 } as StoredSaga);
    return true;
  };
  const find = async () => ({ history: [] });
  await new SagaOperator({ operate, find } as unknown as SagaOperationStore).ask('skip', 's-1', { by: 'ann', reason: 'by hand' });
  const event = { kind: 'skipped', by: 'ann', reason: 'by hand', about: { step: 'bill', sinceMs: 100 } };
  expect(written?.reach?.tells).toEqual([{ id: 's-1', event }]);
  expect(written?.progress).toBe(progress);
});

describe('what became of a word', () => {
  const BY = { by: 'ann', reason: 'by hand' };
  const PARKED = { status: 'parked', at: [{ step: 'ship', isStopped: true }], parked: { while: 'running', failure: {}, sinceMs: 100 } };
  const line = (ms: number, told: string, detail?: string) => {
    const [event, step = 'ship'] = told.split(' of ');
    return { step, event, detail, at: new Date(ms) };
  };
  const BEFORE = [line(50, 'skipped', 'ann: by hand'), line(100, 'parked', 'no van')];

  /** Asked of a saga that is parked, which then stands so and has these lines more. */
  async function became(what: 'skip' | 'cancel', then: object, ...lines: readonly object[]) {
    let [progress, history] = [PARKED as object, BEFORE as readonly object[]];
    const store = {
      find: async () => ({ history }),
      look: async () => ({ progress }),
      operate: async (id: string, _: unknown, change: OperatorChange) => {
        change({ id, progress, nowMs: 500 } as StoredSaga);
        return true;
      },
    };
    const operator = new SagaOperator(store as unknown as SagaOperationStore);
    const word = await operator.ask(what, 's-1', BY);
    [progress, history] = [then, [...BEFORE, ...lines]];
    const end = await operator.becameOf(word);
    return typeof end === 'string' ? end : end.since.map(({ event }) => event);
  }

  const RUNNING = { status: 'running', at: [{ step: 'ship' }], parked: undefined };
  const AGAIN = { ...PARKED, parked: { ...PARKED.parked, sinceMs: 700 } };

  it('is that it waits as long as the saga stands as it stood, whatever its history says of before', async () => {
    expect(await became('skip', PARKED)).toBe('waits');
    expect(await became('skip', PARKED, line(100, 'skipped of bill', 'ann: by hand'))).toBe('waits');
  });

  it('is that it was done, with what happened from then on, once its own line is there', async () => {
    expect(await became('skip', AGAIN, line(600, 'skipped', 'ann: by hand'), line(700, 'parked', 'no stamp'))).toEqual([
      'skipped',
      'parked',
    ]);
    const cancelled = line(600, 'turned-back', 'The saga s-1 was cancelled by ann at the step ship: by hand. What it had done is undone.');
    expect(await became('cancel', { ...RUNNING, status: 'compensating' }, cancelled)).toEqual(['turned-back']);
  });

  it('is that it was dropped where the saga has moved, and the line is of somebody else or of another step', async () => {
    expect(await became('skip', RUNNING, line(600, 'skipped', 'bob: by hand'))).toBe('dropped');
    expect(await became('skip', RUNNING, line(600, 'resumed', 'ann: by hand'))).toBe('dropped');
    expect(await became('skip', AGAIN, line(600, 'retried', 'bob'), line(700, 'parked', 'no van'))).toBe('dropped');
    expect(await became('skip', RUNNING, line(600, 'skipped of bill', 'ann: by hand'))).toBe('dropped');
    const cancelled = line(600, 'turned-back', 'The saga s-1 was cancelled by bob at the step ship: by hand. What it had done is undone.');
    expect(await became('cancel', { ...RUNNING, status: 'compensating' }, cancelled)).toBe('dropped');
    expect(await became('cancel', RUNNING)).toBe('waits');
  });
});
