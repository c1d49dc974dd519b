import { createDelivery } from '../delivery/delivery.js';
import type { Registration } from '../delivery/subscription-builder.js';
import { envelopeFrom } from '../message/attributes.js';
import { Message } from '../message/message.js';
import { describeMessages } from '../message/message-class.js';
import type { KnownTransports } from '../transport/route.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { ChoreographyStore } from './choreography.store.port.js';
import { withCompensations } from './registrations.js';

@Message('trip.requested')
class TripRequested {}

@Message('hotel.viewed', { destination: 'events:hotel.viewed' })
class HotelViewed {}

const TX = {} as Transaction;

/** What is registered, and what the store and the rest were told. */
function scene(transports = ['default', 'events'], store: Partial<ChoreographyStore> = {}) {
  const told: string[] = [];
  const known = new Map(transports.map((name) => [name, { transport: name, capabilities: {} }])) as unknown as KnownTransports;
  const parts = {
    store: store as ChoreographyStore,
    transports: known,
    currentTransaction: () => TX,
    afterCommit: (then: () => void) => then(),
    due: () => void told.push('due'),
  };
  return { told, with: (...registrations: Registration[]) => withCompensations(registrations, parts) };
}

function handler(name: string, policies: object = {}, types: Registration['types'] = TripRequested): Registration {
  return {
    types,
    handler: () => undefined,
    policies: { name, transactional: true, idempotent: true, ...policies } as Registration['policies'],
  };
}

const undo = { undo: () => undefined };
const namesOf = (registrations: readonly Registration[]) => registrations.map(({ policies }) => policies.name);

function deliveryOf(sagaid: string | undefined) {
  const attributes = { id: 'm-1', source: 'shop', type: 'trip.requested', time: '2030-01-01T00:00:00Z', sagaid };
  return createDelivery({
    envelope: envelopeFrom(attributes, Buffer.from('{}')),
    subscription: 'x',
    attempt: 1,
    isRedelivery: false,
    deadlineAt: new Date(),
    signal: () => new AbortController().signal,
  });
}

describe('a service', () => {
  it('without anything to undo gets no subscription more', () => {
    const all = [handler('hotels.book'), handler('mail.tell')];
    expect(scene().with(...all)).toEqual(all);
  });

  it('takes aborts over each of its transports, before all else, and undoes with one subscription for each handler', () => {
    const registered = scene().with(handler('hotels.book', { compensate: undo, formerly: 'hotels.take' }), handler('mail.tell'));
    expect(namesOf(registered)).toEqual([
      'holdfast.saga-aborted',
      'holdfast.saga-aborted.events',
      'hotels.book',
      'mail.tell',
      'hotels.book.undo',
    ]);
    const destinations = registered.slice(0, 2).map(({ types }) => describeMessages(types)[0]?.destination);
    expect(destinations).toEqual([undefined, 'events:holdfast.saga-aborted']);
    expect(registered.at(-1)).toMatchObject({
      isOnlyStored: true,
      types: TripRequested,
      policies: { formerly: ['hotels.take.undo'], transactional: true },
    });
  });

  it('hears of the aborts from before where what it can undo is given messages from before, and only there', () => {
    const fromOf = (registration: Registration) =>
      scene()
        .with(registration)
        .slice(0, 2)
        .map(({ policies }) => policies.from);
    expect(fromOf(handler('a', { compensate: undo }))).toEqual(['now', 'now']);
    expect(fromOf(handler('a', { compensate: undo, from: 'earliest' }))).toEqual(['earliest', 'now']);
    expect(fromOf(handler('a', { compensate: undo, from: 'earliest' }, HotelViewed))).toEqual(['now', 'earliest']);
  });
});

describe('an abort', () => {
  const aborting = (isNew: boolean, parts: number) => {
    const asked: unknown[] = [];
    const abort: ChoreographyStore['abort'] = async (tx, saga) => {
      asked.push(tx === TX, saga);
      return { isNew, parts };
    };
    const { told, ...rest } = scene(['default'], { abort });
    const [first] = rest.with(handler('hotels.book', { compensate: undo }));
    return { told, asked, run: (data: object, sagaId?: string) => (first as Registration).handler(data as never, deliveryOf(sagaId)) };
  };

  it('has somebody look for what is due when there is something to undo', async () => {
    const { told, asked, run } = aborting(true, 2);
    await run({ reason: 'too dear' }, 't1');
    expect({ told, asked }).toEqual({ told: ['due'], asked: [true, { id: 't1', reason: 'too dear' }] });
    const [nothing, repeated] = [aborting(true, 0), aborting(false, 0)];
    for (const one of [nothing, repeated]) await one.run({ reason: 'too dear' }, 't1');
    expect([nothing.told, repeated.told]).toEqual([[], []]);
  });

  it('keeps a reason of at most 1000 characters, and none that is no text', async () => {
    const { asked, run } = aborting(true, 0);
    await run({ reason: 'x'.repeat(2000) }, 't1');
    await run({ reason: { why: 'no text' } }, 't1');
    expect(asked).toEqual([true, { id: 't1', reason: 'x'.repeat(1000) }, true, { id: 't1', reason: '' }]);
  });

  it('of no saga, as a program of others may send it, fails for good', async () => {
    const { asked, run } = aborting(true, 0);
    await expect(run({ reason: 'too dear' })).rejects.toMatchObject({ code: 'HF_SAGA_ABORT_OF_NONE', retryable: false });
    expect(asked).toEqual([]);
  });
});

describe('an undo', () => {
  it('lets the next part go when it has worked, and not when it fails', async () => {
    const told: string[] = [];
    const undone: ChoreographyStore['undone'] = async (_tx, id) => {
      told.push(`undone ${id}`);
      return true;
    };
    const work = { undo: () => void told.push('undo') };
    const failing = { undo: () => Promise.reject(new Error('closed')) };
    const registered = scene(['default'], { undone }).with(handler('a', { compensate: work }), handler('b', { compensate: failing }));
    const [, , , ofA, ofB] = registered as [Registration, Registration, Registration, Registration, Registration];
    await ofA.handler({} as never, deliveryOf('t1'));
    await expect(ofB.handler({} as never, deliveryOf('t1'))).rejects.toThrow('closed');
    expect(told).toEqual(['undo', 'undone t1']);
  });
});
