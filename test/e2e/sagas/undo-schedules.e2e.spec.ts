// The other end of a remote step: six schedules in which a guard that guesses ends wrong.
import { eventually } from '@holdfast-internal/test-support';
import { overTransports } from './support/over-transports.js';
import { Door, Participant } from './support/participant.js';

const DONE = { type: 'holdfast.reply', body: '' };
const BY = { by: 'anna', reason: 'it was never handled' };

overTransports((over, isRabbit) => {
  let cards: Participant;
  beforeEach(async () => {
    cards = await Participant.over(over());
  });
  afterEach(() => cards.close());

  it('a step that ran is undone once, though nobody knows that it ran, and is dropped when it comes again', async () => {
    await cards.start();
    await cards.request({ id: 'r' });
    expect(await cards.answered('r')).toMatchObject({ type: 'holdfast.reply', body: '{"paid":"1"}' });
    await cards.undo({ id: 'u' });
    expect(await cards.answered('u')).toMatchObject(DONE);
    expect(await cards.effects()).toEqual(['charge 1', 'refund 1']);
    await cards.request({ id: 'r' });
    expect((await cards.answered('r', 2)).body).toMatch(/HF_REQUEST_UNDONE/);
    expect(await cards.effects()).toEqual(['charge 1', 'refund 1']);
  });

  it('a step of ten days ago is undone when the saga has seen its reply, and parked when it has not', async () => {
    const bus = await cards.start();
    await cards.request({ id: 'r' });
    await cards.answered('r');
    await cards.forget();
    await cards.undo({ id: 'unseen', requestDaysAgo: 10 });
    expect((await cards.answered('unseen')).body).toMatch(/HF_COMPENSATION_EXPIRED/);
    expect(await cards.effects()).toEqual(['charge 1']);
    await cards.undo({ id: 'seen', requestDaysAgo: 10, hasRun: true });
    expect(await cards.answered('seen')).toMatchObject(DONE);
    await cards.undo({ id: 'seen again', requestDaysAgo: 10, hasRun: true });
    expect(await cards.answered('seen again')).toMatchObject(DONE);
    // A person's word that it ran comes too late.
    const [letter] = (await bus.deadLetters.list({ subscription: 'cards.refund' })).items;
    await bus.deadLetters.redrive(letter?.id as string, BY);
    expect(await cards.answered('unseen', 2)).toMatchObject(DONE);
    expect(await cards.effects()).toEqual(['charge 1', 'refund 1']);
  });

  // RabbitMQ refuses `formerly`: what waits under the old name would stay behind.
  if (!isRabbit)
    it('a step whose subscription was renamed since is undone', async () => {
      const before = await cards.start();
      await cards.request({ id: 'r' });
      await cards.answered('r');
      await cards.stop(before);
      await cards.start({ charge: { name: 'cards.charge-card', formerly: 'cards.charge' } });
      await cards.undo({ id: 'u' });
      expect(await cards.answered('u')).toMatchObject(DONE);
      expect(await cards.effects()).toEqual(['charge 1', 'refund 1']);
    });

  it('what never ran is not undone, also when that is asked for under two ids, and never happens later', async () => {
    await cards.start();
    await cards.undo({ id: 'u1' });
    await cards.undo({ id: 'u2' });
    expect(await cards.answered('u1')).toMatchObject(DONE);
    expect(await cards.answered('u2')).toMatchObject(DONE);
    await cards.request({ id: 'r' });
    expect(await cards.answered('r')).toMatchObject({ type: 'holdfast.refusal' });
    expect([await cards.effects(), await cards.memory()]).toEqual([[], 'cancelled']);
  });

  it('a step in work outside any transaction is waited for, and then undone', async () => {
    const charging = new Door();
    await cards.start({ isTransactional: false, charging: () => charging.opened });
    await cards.request({ id: 'r' });
    await eventually(
      () => cards.effects(),
      ({ length }) => length === 1,
    );
    await cards.undo({ id: 'u' });
    await eventually(
      () => cards.stored('cards.refund'),
      ([state]) => state === 'retry',
    );
    expect(await cards.effects()).toEqual(['charge 1']);
    charging.open();
    expect(await cards.answered('u')).toMatchObject(DONE);
    expect(await cards.effects()).toEqual(['charge 1', 'refund 1']);
  });

  it('a dead letter is gone when its saga has undone it, and one that comes eight days late is never handled', async () => {
    const fail = jest.fn(() => {
      throw new Error('no such card');
    });
    const bus = await cards.start({ charging: fail });
    await cards.request({ id: 'r' });
    expect((await cards.answered('r')).body).toMatch(/no such card/);
    const [dead] = (await bus.deadLetters.list({})).items;
    await cards.undo({ id: 'u' });
    expect(await cards.answered('u')).toMatchObject(DONE);
    await expect(bus.deadLetters.redrive(dead?.id as string, BY)).rejects.toThrow(/There is no dead letter \d+\..*undone by its saga/);
    await cards.forget();
    await cards.request({ id: 'r', daysAgo: 8 });
    expect((await cards.answered('r', 2)).body).toMatch(/HF_REQUEST_EXPIRED/);
    const [late] = (await bus.deadLetters.list({})).items;
    expect(late?.error.message).toMatch(/The request r of the saga order-1 was published at .*, longer ago than is remembered/);
    await bus.deadLetters.redrive(late?.id as string, BY);
    expect((await cards.answered('r', 3)).body).toMatch(/HF_REQUEST_EXPIRED/);
    expect([fail.mock.calls.length, await cards.effects()]).toEqual([3, []]);
  });
});
