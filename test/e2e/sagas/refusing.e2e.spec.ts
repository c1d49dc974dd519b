// What the other end of a remote step refuses for good: the saga believes that it left nothing behind, so it must be so, and stay so.
import { eventually } from '@holdfast-internal/test-support';
import { NonRetryableError } from '@holdfast/core';
import { overTransports } from './support/over-transports.js';
import { Participant } from './support/participant.js';

const DONE = { type: 'holdfast.reply', body: '' };
const BY = { by: 'anna', reason: 'it is mended' };
const declined = () => {
  throw new NonRetryableError('declined');
};

overTransports((over) => {
  let cards: Participant;
  beforeEach(async () => {
    cards = await Participant.over(over());
  });
  afterEach(() => cards.close());

  const isDefinite = async (id: string, count = 1) =>
    (JSON.parse((await cards.answered(id, count)).body) as { isDefinite?: boolean }).isDefinite;

  it('a request that is refused inside a transaction left nothing behind, is stored nowhere, and is refused again when it comes again', async () => {
    let isClosed = true;
    const bus = await cards.start({ charging: () => (isClosed ? declined() : undefined) });
    await cards.request({ id: 'r' });
    expect(await isDefinite('r')).toBe(true);
    expect([await cards.memory(), await cards.stored()]).toEqual(['cancelled', []]);
    isClosed = false;
    const first = await cards.answered('r');
    await cards.request({ id: 'r' });
    expect(await cards.answered('r', 2)).toEqual(first);
    await cards.undo({ id: 'u' });
    expect(await cards.answered('u')).toMatchObject(DONE);
    await bus.settled(30_000);
    expect([await cards.effects(), await cards.stored(), await cards.stored('cards.refund')]).toEqual([[], [], []]);
  });

  it('a request that is refused outside any transaction may have had its effect: it is called again when it comes again, and is undone', async () => {
    let isClosed = true;
    await cards.start({ isTransactional: false, charging: () => (isClosed ? declined() : undefined) });
    await cards.request({ id: 'r' });
    expect(await isDefinite('r')).toBe(false);
    expect([await cards.memory(), await cards.stored()]).toEqual(['claimed', []]);
    isClosed = false;
    await cards.request({ id: 'r' });
    expect(await cards.answered('r', 2)).toMatchObject({ type: 'holdfast.reply', body: '{"paid":"1"}' });
    await cards.undo({ id: 'u' });
    expect(await cards.answered('u')).toMatchObject(DONE);
    expect([await cards.effects(), await cards.memory()]).toEqual([['charge 1', 'charge 1', 'refund 1'], 'compensated']);
    await cards.request({ id: 'r' });
    expect((await cards.answered('r', 3)).body).toMatch(/HF_REQUEST_UNDONE"/);
  });

  it('an undoing that is refused is a dead letter all the same', async () => {
    const bus = await cards.start({ refunding: declined });
    await cards.request({ id: 'r' });
    await cards.answered('r');
    await cards.undo({ id: 'u' });
    expect((await cards.answered('u')).body).toMatch(/declined/);
    await bus.settled(30_000);
    expect([await cards.stored('cards.refund'), await cards.memory()]).toEqual([['dead'], 'done']);
  });

  it('a request whose earlier attempt was outside any transaction is not refused for certain, and is undone', async () => {
    let calls = 0;
    await cards.start({
      isTransactional: false,
      charging: () => {
        calls += 1;
        if (calls === 1) throw new Error('no answer in time');
        declined();
      },
    });
    await cards.request({ id: 'r' });
    expect(await isDefinite('r')).toBe(false);
    await cards.undo({ id: 'u' });
    expect(await cards.answered('u')).toMatchObject(DONE);
    expect(await cards.effects()).toEqual(['charge 1', 'charge 1', 'refund 1']);
  });

  it('a request whose attempts are used up is not refused for certain, and its dead letter can be redriven', async () => {
    let isClosed = true;
    const bus = await cards.start({
      charging: () => {
        if (isClosed) throw new Error('the bank is closed');
      },
    });
    await cards.request({ id: 'r' });
    expect(await isDefinite('r')).toBe(false);
    isClosed = false;
    await bus.deadLetters.redrive({ subscription: 'cards.charge' }, BY);
    expect(await cards.answered('r', 2)).toMatchObject({ type: 'holdfast.reply' });
    expect(await cards.effects()).toEqual(['charge 1']);
  });

  it('a request that is remembered by a business key is not refused for certain, and leaves the key to others', async () => {
    let isClosed = true;
    await cards.start({
      isRemembering: false,
      charge: { idempotent: { key: ({ orderId }: { orderId: string }) => orderId } },
      charging: () => (isClosed ? declined() : undefined),
    });
    await cards.request({ id: 'r' });
    expect(await isDefinite('r')).toBe(false);
    isClosed = false;
    await cards.request({ id: 's' });
    expect(await cards.answered('s')).toMatchObject({ type: 'holdfast.reply' });
    await eventually(
      () => cards.effects(),
      ({ length }) => length === 1,
    );
  });
});
