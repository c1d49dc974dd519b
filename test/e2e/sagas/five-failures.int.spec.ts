import { until } from '@holdfast-internal/test-support';
// Whatever undoes something fails five times, and is let go on by a person once it is mended: in every shape of a saga.
import { Command, defineSaga, defineTry, type Holdfast, Message, SagaAborted, type SagaBuilder } from '@holdfast/core';
import { openShop, type Order, type Shop, type ShopProcess } from './support/shop.js';

@Message('five.charge')
class Charge extends Command {}

@Message('five.refund')
class Refund extends Command {}

@Message('five.placed')
class Placed {
  readonly order = 'o1';
}

const FIVE = 5;
const RETRY = { attempts: FIVE, backoff: { delay: 1, factor: 1, jitter: 'none' } } as const;
const BY = { by: 'ann', reason: 'the bank is open again' };
const ONCE = { transactional: true, idempotent: true } as const;

let shop: Shop;
let process: ShopProcess;
/** Calls of what undoes. */
let calls: number;

const write = (text: string) => process.write(text);

/** Fails as long as nobody has mended it: five times. What it wrote then is gone each time. */
async function refund(): Promise<void> {
  calls += 1;
  await write('refunded');
  if (calls <= FIVE) throw new Error('the bank is closed');
}

async function refuse(): Promise<void> {
  throw new Error('no van');
}

const saga = () => defineSaga<Order>('order', { version: 1 });
const charged = { compensate: refund, compensateRetry: RETRY } as const;

/** How a shape begins, what tells that a person is asked, and what she does. */
interface Shape {
  readonly shape: string;
  readonly add: (bus: Holdfast) => void;
  readonly begin: (bus: Holdfast) => Promise<unknown>;
  readonly isParked: (bus: Holdfast) => Promise<boolean>;
  readonly repair: (bus: Holdfast) => Promise<unknown>;
}

function orchestrated(shape: string, order: SagaBuilder<Order>, also: (bus: Holdfast) => void = () => undefined): Shape {
  return {
    shape,
    add: (bus) => {
      bus.saga(order);
      also(bus);
    },
    begin: (bus) => bus.sagas.start(order, { id: 'o1' }, { id: 'o1' }),
    isParked: async (bus) => (await bus.sagas.get('o1'))?.status === 'parked',
    repair: async (bus) => {
      // What the other end has given up is handled again first.
      await bus.deadLetters.redrive({ subscription: 'refund' }, BY);
      await bus.sagas.resume('o1', BY);
      await until('its end', async () => (await bus.sagas.get('o1'))?.status === 'compensated');
    },
  };
}

const SHAPES: readonly Shape[] = [
  orchestrated(
    'a saga of local steps',
    saga()
      .step('charge', () => write('charged'), charged)
      .step('ship', refuse, { retry: false }),
  ),
  orchestrated(
    'a saga of steps side by side',
    saga()
      .step('charge', () => write('charged'), charged)
      .step('pack', async () => {}, { after: [], compensate: async () => {} })
      .step('ship', refuse, { after: ['charge', 'pack'], retry: false }),
  ),
  orchestrated(
    'a saga with steps in another service',
    saga()
      .step('charge', async (context) => context.request(new Charge()), {
        compensate: async (context) => context.request(new Refund()),
        compensateRetry: 1,
      })
      .step('ship', refuse, { retry: false }),
    (bus) => {
      bus.on(Charge, () => write('charged'), { name: 'charge', ...ONCE });
      bus.on(Refund, refund, { name: 'refund', compensates: Charge, retry: RETRY, ...ONCE });
    },
  ),
  {
    shape: 'a choreographed saga',
    add: (bus) => void bus.on(Placed, () => write('charged'), { name: 'charge', compensate: { undo: refund, retry: RETRY }, ...ONCE }),
    begin: async (bus) => {
      await bus.bus.publish(new Placed(), { sagaId: 'o1' });
      await until('the charge', async () => (await shop.written()).includes('charged'));
      await bus.bus.publish(new SagaAborted('no van'), { sagaId: 'o1' });
    },
    isParked: async (bus) => (await bus.deadLetters.list({ subscription: 'charge.undo' })).items.length === 1,
    repair: (bus) => bus.deadLetters.redrive({ subscription: 'charge.undo' }, BY),
  },
  (() => {
    let charge: () => Promise<void>;
    return {
      shape: 'a try',
      add: (bus: Holdfast) => {
        const retries = { confirmRetry: RETRY, cancelRetry: RETRY };
        charge = bus.tryConfirmCancel(defineTry('charge', () => write('charged'), { ...retries, confirm: async () => {}, cancel: refund }));
      },
      begin: (bus: Holdfast) =>
        bus.unitOfWork
          .run(async () => {
            await charge();
            await refuse();
          })
          .catch(() => undefined),
      isParked: async (bus: Holdfast) => (await bus.branches.list({ status: 'parked' })).items.length === 1,
      repair: async (bus: Holdfast) => {
        const [branch] = (await bus.branches.list({ status: 'parked' })).items;
        await bus.branches.retry(branch?.id as string, BY);
      },
    };
  })(),
];

beforeEach(async () => {
  shop = await openShop();
  calls = 0;
});

afterEach(() => shop.close());

it.each(SHAPES)('$shape: what undoes it fails five times, waits for a person, and then has its effect once', async (shape) => {
  process = await shop.open((opening) => {
    process = opening;
    shape.add(opening.bus);
  });
  const { bus } = process;
  await shape.begin(bus);
  await until('a person is asked', () => shape.isParked(bus));
  expect([calls, await shop.written()]).toEqual([FIVE, ['charged']]);
  await shape.repair(bus);
  await until('the refund', async () => (await shop.written()).includes('refunded'));
  await bus.settled(30_000);
  expect([calls, await shop.written()]).toEqual([FIVE + 1, ['charged', 'refunded']]);
  expect(await shop.look('select distinct actor, reason from holdfast_audit')).toEqual([{ actor: 'ann', reason: BY.reason }]);
});
