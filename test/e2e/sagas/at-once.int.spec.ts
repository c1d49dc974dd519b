// What sagas do at once, where nothing is found by looking: what looks once a second does so once a minute here.
import { PATIENCE_MS, pause, until } from '@holdfast-internal/test-support';
import { defineSaga, Message, NonRetryableError, type Scheduler, systemScheduler } from '@holdfast/core';
import { openShop, type Shop, type ShopProcess } from './support/shop.js';

const [LOOK_MS, RARELY_MS] = [1000, 60_000];
/** Less than until the next look. */
const SOON = '30s';
const scheduler: Scheduler = {
  ...systemScheduler,
  after: (ms, task, options) => systemScheduler.after(ms === LOOK_MS ? RARELY_MS : ms, task, options),
};

/** Lets a saga go on. */
@Message('at-once.go')
class Go {
  constructor(readonly id: string) {}
}

interface State {
  account: string;
}

let shop: Shop;
beforeEach(async () => {
  shop = await openShop();
});
afterEach(() => shop.close());

const open = (set: (process: ShopProcess) => void) => shop.open(set, { scheduler });

async function go({ bus }: ShopProcess, id: string): Promise<void> {
  await bus.unitOfWork.detached(() => bus.bus.publish(new Go(id), { key: id }));
}

it('a child saga begins while another branch of its parent is at work', async () => {
  const child = defineSaga<State>('child', { version: 1 });
  const parent = defineSaga<State>('parent', { version: 1 });
  const { bus } = await open((process) => {
    process.bus.saga(child.step('pack', async () => process.write('packed')));
    parent
      .step('begin', async () => process.write('begun'))
      .step('hand over', async (saga) => saga.start(child, { account: 'a' }))
      .step(
        'work',
        async () => {
          for (let waits = 0; !(await shop.written()).includes('packed'); waits += 1) {
            if (waits === 400) throw new NonRetryableError('the child has not begun');
            await pause(50);
          }
        },
        { after: 'begin', retry: false },
      );
    process.bus.saga(parent);
  });
  await bus.sagas.start(parent, { account: 'a' }, { id: 'p' });
  expect(await bus.sagas.result('p', { timeout: SOON })).toMatchObject({ status: 'completed' });
});

it('a signal that came before a step waits for it is taken when it does', async () => {
  const saga = defineSaga<State>('waiting', { version: 1, signals: [Go] });
  const process = await open(({ bus }) => {
    bus.saga(saga.step('wait', async (context) => context.waitFor(Go, { key: context.id, timeout: '1h' })));
  });
  await go(process, 'w');
  await until('the signal', async () => (await shop.look('select from holdfast_saga_signal where value is not null')).length === 1);
  await process.bus.sagas.start(saga, { account: 'a' }, { id: 'w' });
  expect(await process.bus.sagas.result('w', { timeout: SOON })).toMatchObject({ status: 'completed' });
});

it('a saga that waits for a key goes on when it is freed by another process than that of its start', async () => {
  let free: () => void = () => undefined;
  const isFreed = new Promise<void>((resolve) => {
    free = resolve;
  });
  const seller = async () => {
    const saga = defineSaga<State>('transfer', { version: 1, lock: ({ account }) => account });
    const { bus } = await open((process) =>
      process.bus.saga(saga.step('move', async ({ id }) => (id === 'holder' ? isFreed : process.write(id)))),
    );
    return { bus, start: (id: string) => bus.sagas.start(saga, { account: 'a' }, { id }) };
  };
  const [one, other] = [await seller(), await seller()];
  await one.start('holder');
  await other.start('next');
  await other.bus.settled(PATIENCE_MS);
  free();
  for (const id of ['holder', 'next']) expect(await one.bus.sagas.result(id, { timeout: SOON })).toMatchObject({ status: 'completed' });
});
