// Whoever is asked is not Holdfast: it reads the request off the log, which is the wire of this transport, and writes its answer there by hand.
import { eventually } from '@holdfast-internal/test-support';
import { Command, defineSaga, Message, NonRetryableError } from '@holdfast/core';
import { openShop, type Shop } from './support/shop.js';

interface Trip {
  id: string;
  payment?: { paymentId: string };
}

@Message('legacy.charge')
class Charge extends Command<{ paymentId: string }> {
  constructor(readonly orderId: string) {
    super();
  }
}

@Message('legacy.refund')
class Refund extends Command {
  constructor(readonly orderId: string) {
    super();
  }
}

/** What a request says of itself on the wire. */
interface Request {
  readonly id: string;
  readonly sagaid: string;
  readonly replyto: string;
  readonly compensates: string | undefined;
}

const FOREIGN = { foreign: true } as const;
const REFUSED = { refusal: { code: 'NO_MONEY', message: 'the card is empty', details: {}, isDefinite: true } };
const PAID = { value: { paymentId: 'p-1' } };
const declined = () => Promise.reject(new NonRetryableError('no box'));

let shop: Shop;

beforeEach(async () => {
  shop = await openShop();
});

afterEach(() => shop.close());

/** Starts a saga that is charged for elsewhere, and packs meanwhile. */
async function started({
  timeout = '1m',
  packing = async () => undefined,
}: {
  timeout?: '1m' | '300ms';
  packing?: () => Promise<void>;
} = {}) {
  const saga = defineSaga<Trip>('trip', { version: 1 });
  const { bus } = await shop.open((process) => {
    saga
      .step('reserve', ({ id }) => process.write(`${id} reserved`), { compensate: ({ id }) => process.write(`${id} released`) })
      .step('charge', async (trip) => trip.request(new Charge(trip.id), { ...FOREIGN, into: 'payment' }), {
        timeout,
        retry: false,
        compensate: async (trip) => trip.request(new Refund(trip.id), FOREIGN),
      })
      .step('pack', packing, { after: 'reserve', retry: false })
      .step('ship', ({ id }) => process.write(`${id} shipped`), { after: ['charge', 'pack'] });
    process.bus.saga(saga);
  });
  await bus.sagas.start(saga, { id: 'o1' }, { id: 'o1' });
  return bus.sagas;
}

/** What was asked for elsewhere so far. */
async function asked(type: 'legacy.charge' | 'legacy.refund'): Promise<Request[]> {
  const rows = await shop.look<{ attributes: string }>('select attributes::text from holdfast_outbox where type = $1 order by id', [type]);
  return rows.map(({ attributes }) => JSON.parse(attributes) as Request);
}

/** The other service answers: an event of the type that the request names. */
async function answer(type: 'legacy.charge' | 'legacy.refund', data: object): Promise<void> {
  const [request] = (await eventually(
    () => asked(type),
    ({ length }) => length > 0,
  )) as [Request];
  const attributes = {
    specversion: '1.0',
    id: `answer to ${request.id}`,
    source: 'legacy',
    type: request.replyto,
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    causationid: request.id,
    sagaid: request.sagaid,
  };
  await shop.look(
    `insert into holdfast_outbox (lane, id, written_at, type, attributes, body) values (0, nextval('holdfast_lane_0'), now(), $1, $2, $3)`,
    [request.replyto, JSON.stringify(attributes), Buffer.from(JSON.stringify(data))],
  );
}

it('a step that a foreign service answers with a value is done, and the value is kept', async () => {
  const sagas = await started();
  await answer('legacy.charge', PAID);
  expect(await sagas.result('o1')).toEqual({ status: 'completed', state: { id: 'o1', payment: { paymentId: 'p-1' } } });
  expect(await shop.written()).toEqual(['o1 reserved', 'o1 shipped']);
});

it('a step that a foreign service refuses for certain turns the saga back, and the service is not asked to undo it', async () => {
  const sagas = await started();
  await answer('legacy.charge', REFUSED);
  expect(await sagas.result('o1')).toMatchObject({
    status: 'compensated',
    failure: { step: 'charge', code: 'HF_REQUEST_REJECTED', message: expect.stringContaining('the card is empty') },
  });
  expect([await shop.written(), await asked('legacy.refund')]).toEqual([['o1 reserved', 'o1 released'], []]);
});

it('a saga that a foreign service does not answer parks, undoes nothing on a guess, and goes on with a late answer', async () => {
  const sagas = await started({ timeout: '300ms' });
  expect(await sagas.result('o1')).toMatchObject({ status: 'parked', failure: { step: 'charge', code: 'HF_SAGA_REPLY_TIMEOUT' } });
  expect([await shop.written(), await asked('legacy.refund')]).toEqual([['o1 reserved'], []]);
  await answer('legacy.charge', PAID);
  await eventually(
    () => shop.written(),
    (texts) => texts.includes('o1 shipped'),
  );
  expect(await asked('legacy.refund')).toEqual([]);
});

describe('a saga that turns back while a foreign service has not answered', () => {
  it('waits for the answer, and then has it undone', async () => {
    const sagas = await started({ packing: declined });
    await eventually(
      () => sagas.get('o1'),
      (saga) => saga?.status === 'compensating',
    );
    expect([await shop.written(), await asked('legacy.refund')]).toEqual([['o1 reserved'], []]);
    await answer('legacy.charge', PAID);
    await answer('legacy.refund', { value: null });
    expect(await sagas.result('o1')).toMatchObject({ status: 'compensated', failure: { step: 'pack', message: 'no box' } });
    const [[charge], [refund]] = [await asked('legacy.charge'), await asked('legacy.refund')];
    expect([refund?.compensates, await shop.written()]).toEqual([charge?.id, ['o1 reserved', 'o1 released']]);
  });

  it('parks where none comes, and undoes nothing before it', async () => {
    const sagas = await started({ packing: declined, timeout: '300ms' });
    expect(await sagas.result('o1')).toMatchObject({ status: 'parked', failure: { step: 'charge', code: 'HF_SAGA_REPLY_TIMEOUT' } });
    expect([await shop.written(), await asked('legacy.refund')]).toEqual([['o1 reserved'], []]);
    await answer('legacy.charge', REFUSED);
    await eventually(
      () => sagas.get('o1'),
      (saga) => saga?.status === 'compensated',
    );
    expect([await shop.written(), await asked('legacy.refund')]).toEqual([['o1 reserved', 'o1 released'], []]);
  });
});
