import { Retry } from '../delivery/retry.decorator.js';
import { defineSaga } from './saga-builder.js';
import type { SagaContext } from './saga-context.js';
import { SagaRegister } from './saga-register.js';
import { encodeState, STATE_BYTES } from './saga-state.js';
import { Compensate, Saga, Step } from './saga.decorators.js';

interface Order {
  id: string;
}
type Context = SagaContext<Order>;

@Saga('order', { version: 2, timeout: '1h' })
class OrderSaga {
  @Step({ after: 'reserve', pivot: true, timeout: '5s' })
  async pay(_saga: Context): Promise<void> {}
  @Step()
  @Retry(3)
  @Compensate('release')
  async reserve(_saga: Context): Promise<void> {}
  @Retry(7)
  async release(_saga: Context): Promise<void> {}
  @Step({ after: 'pay', branchTimeout: '10m' })
  async ship(_saga: Context): Promise<void> {}
}

function problemsOf(...sagas: readonly object[]): string[] {
  const problems: string[] = [];
  const register = new SagaRegister((text) => problems.push(text));
  for (const saga of sagas) register.add(saga);
  return problems;
}

it('a saga is read from its decorators, its steps in the order that after says', () => {
  const register = new SagaRegister((text) => expect(text).toBe('no problem'));
  register.add(new OrderSaga());
  const { definition } = register.of(OrderSaga);
  const steps = definition.steps.map(({ name, compensation, isPivot, timeoutMs, branchTimeoutMs, retry, compensationRetry }) =>
    [name, compensation, isPivot, timeoutMs, branchTimeoutMs, retry.attempts, compensationRetry.attempts].join(' '),
  );
  expect(steps).toEqual(['reserve release false 30000  3 7', 'pay  true 5000  5 5', 'ship  false 30000 600000 5 5']);
  expect(definition).toMatchObject({ name: 'order', version: 2, timeoutMs: 3_600_000 });
});

it('a saga is read from a builder', () => {
  const saga = defineSaga<Order>('transfer', { version: 1 })
    .step('debit', () => undefined, { compensate: () => undefined, retry: 2 })
    .step('credit', () => undefined, { pivot: true });
  expect(saga.definition).toMatchObject({
    name: 'transfer',
    timeoutMs: undefined,
    steps: [
      { name: 'debit', compensation: 'debit:compensate', retry: { attempts: 2 } },
      { name: 'credit', compensation: undefined, isPivot: true },
    ],
  });
});

it('steps that wait for the same run side by side, each behind what it waits for', () => {
  @Saga('a', { version: 1 })
  class Branches {
    @Step({ after: ['two', 'three'] }) async four(_saga: Context): Promise<void> {}
    @Step() async one(_saga: Context): Promise<void> {}
    @Step({ after: 'one' }) async two(_saga: Context): Promise<void> {}
    @Step({ after: 'one', when: ({ id }: Order) => id > 'b' }) async three(_saga: Context): Promise<void> {}
  }
  const register = new SagaRegister((text) => expect(text).toBeUndefined());
  register.add(new Branches());
  expect(register.definitions[0]?.steps.map(({ name, after }) => `${name} < ${after.join(' ')}`)).toEqual([
    'one < ',
    'two < one',
    'three < one',
    'four < two three',
  ]);
  expect(register.outlines[0]?.outline).toBe('one, two, three after one (conditional), four after two and three');
});

describe('what is wrong with a saga is told all together', () => {
  it('in decorators', () => {
    @Saga('a', { version: 0, timeout: 'soon' as never })
    class Wrong {
      @Step() async one(_saga: Context): Promise<void> {}
      @Step() async two(_saga: Context): Promise<void> {}
      @Compensate('one') async three(_saga: Context): Promise<void> {}
    }
    class NoSaga {
      @Step() async one(_saga: Context): Promise<void> {}
    }
    expect(problemsOf(new Wrong(), new NoSaga())).toEqual([
      'Wrong: @Compensate stands on three, which is no step: add @Step()',
      expect.stringContaining('its version is 0; use a whole number from 1'),
      expect.stringContaining('timeout is not a length of time: soon'),
      'NoSaga is no saga: put @Saga on it',
    ]);
  });

  it('in the order of steps', () => {
    @Saga('b', { version: 1 })
    class Circle {
      @Step() async start(_saga: Context): Promise<void> {}
      @Step({ after: 'two' }) async one(_saga: Context): Promise<void> {}
      @Step({ after: 'one' }) async two(_saga: Context): Promise<void> {}
    }
    @Saga('c', { version: 1 })
    class Nothing {}
    const run = () => undefined;
    const ahead = defineSaga('d', { version: 1 }).step('one', run, { after: 'two' }).step('two', run);
    const problems = problemsOf(new Circle(), new Nothing(), ahead);
    expect(problems).toEqual([
      'Circle: the steps one and two wait for each other: one step has no after',
      expect.stringContaining('The saga c cannot be used: it has no step.'),
      expect.stringContaining('the step one comes after two, which is no step before it'),
    ]);
  });

  it('in pivots, names and times', () => {
    const run = () => undefined;
    const saga = defineSaga('', { version: 1.5, timeout: 'soon' as never })
      .step('a', run, { pivot: true, compensate: run as never })
      .step('a', run, { pivot: true, timeout: -1 })
      .step('b', run, { retry: 0, branchTimeout: 'later' as never });
    const [said] = [problemsOf(saga).join('\n')];
    for (const text of [
      'its name is not usable',
      '1.5',
      'two steps a',
      '2 pivots, a and a',
      'soon',
      '-1',
      'branchTimeout is not a length of time: later',
      'attempts is 0',
    ])
      expect(said).toContain(text);
    const after = defineSaga('s', { version: 1 }).step('a', run, { pivot: true }).step('b', run, { compensate: run });
    expect(problemsOf(after)).toEqual([
      expect.stringContaining('the step b comes after the pivot a and has the compensation b:compensate'),
    ]);
    expect(() => after.definition).toThrow('the step b comes after the pivot a');
    const beside = defineSaga('s', { version: 1 }).step('a', run).step('b', run, { pivot: true }).step('c', run, { after: 'a' });
    expect(problemsOf(beside)).toEqual([expect.stringContaining('the step c runs beside the pivot b')]);
  });

  it('in DataSources', () => {
    const run = () => undefined;
    const problems: string[] = [];
    const register = new SagaRegister((text) => problems.push(text));
    const saga = defineSaga('s', { version: 1 })
      .step('a', run, { dataSource: 'default' })
      .step('b', run, { dataSource: 'ledger' })
      .step('c', run, { dataSource: 'nowhere' })
      .step('d', run, { dataSource: 'ledger', pivot: true } as never);
    register.add(saga, undefined, ['default', 'ledger']);
    expect(problems).toEqual([
      expect.stringContaining("the step c runs in nowhere, which is none of the store's DataSources: default, ledger"),
      expect.stringContaining('the pivot d runs in ledger'),
    ]);
    // Where the saga is kept is no other one; where another one is, an instance is tied to it.
    expect(register.definitions[0]?.steps.map(({ dataSource }) => dataSource)).toEqual([undefined, 'ledger', 'nowhere', 'ledger']);
    expect(register.outlines[0]?.outline).toBe('a, b (in ledger), c (in nowhere), d (pivot) (in ledger)');
  });

  it('when two have one name and one version', () => {
    const saga = (version: number) => defineSaga('s', { version }).step('a', () => undefined);
    expect(problemsOf(saga(1), saga(2))).toEqual([]);
    expect(problemsOf(saga(1), saga(1))).toEqual([
      expect.stringContaining('The saga s cannot be used: its name and the version 1 are taken'),
    ]);
  });
});

describe('the state of a saga', () => {
  const owner = { saga: 's', id: '1', step: 'pay' };

  it('is kept up to 256 KiB of JSON, counted in bytes', () => {
    const text = 'ä'.repeat((STATE_BYTES - 8) / 2);
    expect(Buffer.byteLength(encodeState({ t: text }, owner))).toBe(STATE_BYTES);
    expect(() => encodeState({ t: `${text}x` }, owner)).toThrow(`has ${STATE_BYTES + 1} bytes as JSON, the limit is ${STATE_BYTES}`);
  });

  it('is kept with fields that are not set, dates as their text, and what a toJSON says', () => {
    const state = { a: undefined, at: new Date(0), odd: { toJSON: () => ({ b: 1 }) } };
    expect(encodeState(state, owner)).toBe('{"at":"1970-01-01T00:00:00.000Z","odd":{"b":1}}');
  });

  it.each([
    [1n, 'it is no object'],
    [null, 'it is no object'],
    [[1], 'it is no object'],
    [{ deep: { n: 1n } }, 'deep.n: a BigInt'],
    [new Date(0), 'its JSON is no object'],
    [{ seen: new Set([1]) }, 'seen: what is in a Set is not in its JSON'],
    [{ a: [{ seen: new Map() }] }, 'seen: what is in a Map is not in its JSON'],
    [new Map(), 'the state: what is in a Map is not in its JSON'],
    [{ total: Number.NaN }, 'total: NaN becomes null in JSON'],
    [{ call: () => undefined }, 'call: a function has no form in JSON'],
    [{ list: [1, undefined] }, '1: undefined in a list becomes null in JSON'],
  ])('is refused with the reason: %p', (state, reason) => {
    expect(() => encodeState(state, owner)).toThrow(reason);
  });
});
