// The other end of a remote step: what undoes a request beside that request, twice, in batches, and when it fails itself.
import { ears, eventually } from '@holdfast-internal/test-support';
import { type Delivery, NonRetryableError } from '@holdfast/core';
import { overTransports } from './support/over-transports.js';
import { Door, type Handling, Participant, RefundCard } from './support/participant.js';

const DONE = { type: 'holdfast.reply', body: '' };
const BY = { by: 'anna', reason: 'it is mended' };
const HOUR = { attempts: 3, backoff: { delay: '1h', maxDelay: '1h', jitter: 'none' } } as const;

overTransports((over) => {
  const hear = ears();
  let cards: Participant;
  beforeEach(async () => {
    cards = await Participant.over(over());
  });
  afterEach(() => cards.close());

  /** The request has been begun. */
  const begun = (count = 1) =>
    eventually(
      () => cards.effects(),
      ({ length }) => length === count,
    );

  /** Somebody waits for what another transaction has. */
  const isWaitedFor = () =>
    eventually(
      () => cards.source.query(`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`),
      (rows: unknown[]) => rows.length > 0,
    );

  describe.each([true, false])('transactional %p:', (isTransactional) => {
    it('a request is undone once, however often and under however many ids that is asked for', async () => {
      const bus = await cards.start({ isTransactional });
      await cards.request({ id: 'r' });
      await cards.answered('r');
      await Promise.all(['u1', 'u1', 'u2', 'u2', 'u1'].map((id) => cards.undo({ id })));
      expect(await cards.answered('u1')).toMatchObject(DONE);
      expect(await cards.answered('u2')).toMatchObject(DONE);
      await bus.settled(30_000);
      for (const { type } of await cards.replies()) expect(type).toBe('holdfast.reply');
      expect([await cards.effects(), await cards.memory()]).toEqual([['charge 1', 'refund 1'], 'compensated']);
    });

    it('an undoing that fails is tried again, and then waits for a person, while the request stays where it is', async () => {
      let isBroken = true;
      const bus = await cards.start({
        isTransactional,
        refunding: () => {
          if (isBroken) throw new Error('the bank is closed');
        },
      });
      await cards.request({ id: 'r' });
      await cards.answered('r');
      await cards.undo({ id: 'u' });
      expect((await cards.answered('u')).body).toMatch(/the bank is closed/);
      expect(await cards.memory()).toBe(isTransactional ? 'done' : 'undoing');
      isBroken = false;
      await cards.request({ id: 'r' });
      await cards.answered('r', 2);
      const [letter] = (await bus.deadLetters.list({ subscription: 'cards.refund' })).items;
      expect(letter?.attempts).toBe(3);
      await bus.deadLetters.redrive(letter?.id as string, BY);
      expect(await cards.answered('u', 2)).toMatchObject(DONE);
      const effects = await cards.effects();
      expect(isTransactional ? effects : effects.slice(0, 1).concat(effects.slice(4))).toEqual(['charge 1', 'refund 1']);
    });

    it('what a saga asks for has one effect, and one answer, of a handler without @Idempotent too', async () => {
      await cards.start({ isTransactional, isRemembering: false });
      await cards.request({ id: 'r' });
      const first = await cards.answered('r');
      await cards.request({ id: 'r' });
      expect(await cards.answered('r', 2)).toEqual(first);
      expect(await cards.effects()).toEqual(['charge 1']);
    });

    it('is remembered for a day longer than it counts, whether it ran, was undone, or never came', async () => {
      await cards.start({ isTransactional, charge: { idempotent: { ttl: '2d' } } });
      const days = async (id: string) => {
        const [row] = await cards.source.query(
          `select extract(epoch from i.expires_at - now()) / 86400 as days from holdfast_inbox i join holdfast_subscription s on s.id = i.subscription_id
           where s.name = 'cards.charge' and message_id = $1`,
          [id],
        );
        return Math.round(Number(row?.days));
      };
      await cards.request({ id: 'r' });
      await cards.answered('r');
      expect(await days('r')).toBe(3);
      await cards.source.query(`update holdfast_inbox set expires_at = now() where message_id = 'r'`);
      await cards.undo({ id: 'u' });
      await cards.undo({ id: 'v', request: 'never' });
      await cards.answered('u');
      await cards.answered('v');
      expect([await days('r'), await days('never')]).toEqual([3, 3]);
    });

    it('a request that comes after its undoing is dropped, and the undoing had nothing to do: both are told', async () => {
      const [needless, undone] = [hear('delivery:needless'), hear('delivery:undone')];
      const bus = await cards.start({ isTransactional });
      await cards.undo({ id: 'u', request: 'late' });
      expect(await cards.answered('u')).toMatchObject(DONE);
      await cards.request({ id: 'late' });
      await cards.answered('late');
      await bus.settled(30_000);
      expect(needless).toMatchObject([{ id: 'u', type: 'card.refund', subscription: 'cards.refund', attempt: 1 }]);
      expect(undone).toMatchObject([{ id: 'late', type: 'card.charge', subscription: 'cards.charge', attempt: 1 }]);
      expect(await cards.effects()).toEqual([]);
    });

    it('a foreign API is told by one key what was done and what is to be undone', async () => {
      const charged: Delivery[] = [];
      const refunded: Delivery[] = [];
      const failOnce = (delivery: Delivery) => {
        if (refunded.push(delivery) === 1) throw new NonRetryableError('not now');
      };
      await cards.start({ isTransactional, charging: (delivery) => void charged.push(delivery), refunding: failOnce });
      await cards.request({ id: 'r' });
      await cards.answered('r');
      await cards.undo({ id: 'u1' });
      await cards.answered('u1');
      await cards.undo({ id: 'u2', requestType: 'card.charge' });
      await cards.answered('u2');
      const key = charged[0]?.idempotencyKey;
      expect(charged[0]?.undoes).toBeUndefined();
      expect(refunded.map(({ undoes }) => undoes)).toEqual([
        { id: 'r', idempotencyKey: key },
        { id: 'r', idempotencyKey: key },
      ]);
      expect(refunded[0]?.idempotencyKey).toBe(refunded[1]?.idempotencyKey);
      expect(refunded[0]?.idempotencyKey).not.toBe(key);
    });
  });

  it('an undoing in work outside any transaction is waited for by one under another id, which then has nothing to do', async () => {
    const refunding = new Door();
    await cards.start({ isTransactional: false, refunding: () => refunding.opened });
    await cards.request({ id: 'r' });
    await cards.answered('r');
    await cards.undo({ id: 'u1' });
    await begun(2);
    await cards.undo({ id: 'u2', lane: 1 });
    await eventually(
      () => cards.stored('cards.refund'),
      ({ length }) => length === 1,
    );
    refunding.open();
    expect(await cards.answered('u1')).toMatchObject(DONE);
    expect(await cards.answered('u2')).toMatchObject(DONE);
    expect(await cards.effects()).toEqual(['charge 1', 'refund 1']);
  });

  it('a request that commits while it is to be undone is undone', async () => {
    const [begins, charging] = [new Door(), new Door()];
    await cards.start({
      charging: () => {
        begins.open();
        return charging.opened;
      },
    });
    await cards.request({ id: 'r' });
    await begins.opened;
    await cards.undo({ id: 'u' });
    await isWaitedFor();
    charging.open();
    expect(await cards.answered('u')).toMatchObject(DONE);
    expect(await cards.effects()).toEqual(['charge 1', 'refund 1']);
  });

  it('a request that is rolled back while it is to be undone is not undone, and not tried again', async () => {
    const [begins, charging] = [new Door(), new Door()];
    await cards.start({
      charge: { retry: { attempts: 100, backoff: { delay: '300ms', factor: 1, jitter: 'none' } } },
      charging: async () => {
        begins.open();
        await charging.opened;
        throw new Error('the bank is closed');
      },
    });
    await cards.request({ id: 'r' });
    await begins.opened;
    await cards.undo({ id: 'u' });
    await isWaitedFor();
    charging.open();
    expect(await cards.answered('u')).toMatchObject(DONE);
    expect((await cards.answered('r')).body).toMatch(/HF_REQUEST_UNDONE/);
    await eventually(
      () => cards.stored(),
      ({ length }) => length === 0,
    );
    expect(await cards.effects()).toEqual([]);
  });

  it('a request that was begun outside any transaction, and waits to be tried again, is undone and never tried again', async () => {
    const fail = () => {
      throw new Error('no answer');
    };
    await cards.start({ isTransactional: false, charging: fail, charge: { retry: HOUR } });
    await cards.request({ id: 'r' });
    await eventually(
      () => cards.stored(),
      ([state]) => state === 'retry',
    );
    await cards.undo({ id: 'u' });
    expect(await cards.answered('u')).toMatchObject(DONE);
    expect([await cards.effects(), await cards.stored()]).toEqual([['charge 1', 'refund 1'], []]);
  });

  it('a request whose process was silent for too long is undone, and what it does after that is shown to a person', async () => {
    const charging = new Door();
    const handling: Handling = { isTransactional: false, charging: () => charging.opened };
    const bus = await cards.start({ ...handling, charge: { idempotent: { lockTtl: '1h' } } });
    await cards.request({ id: 'r' });
    await begun();
    await cards.source.query(`update holdfast_inbox set lease_until = now() - interval '1 second' where message_id = 'r'`);
    await cards.undo({ id: 'u' });
    expect(await cards.answered('u')).toMatchObject(DONE);
    expect(await cards.effects()).toEqual(['charge 1', 'refund 1']);
    charging.open();
    expect((await cards.answered('r')).body).toMatch(/HF_REQUEST_UNDONE_IN_WORK/);
    const [letter] = (await bus.deadLetters.list({})).items;
    expect(letter?.error.message).toMatch(
      /^cards.charge was still at the request r of the saga order-1, outside any transaction, when it was undone. .* key [0-9a-f]{32}, undo that by hand/,
    );
    // Another copy of it is dropped, and takes no letter along, whichever way it is handled.
    await cards.request({ id: 'r' });
    expect((await cards.answered('r', 2)).body).toMatch(/HF_REQUEST_UNDONE"/);
    await cards.stop(bus);
    const again = await cards.start();
    await cards.request({ id: 'r' });
    expect((await cards.answered('r', 3)).body).toMatch(/HF_REQUEST_UNDONE"/);
    // Nor does one for which nobody waits.
    await cards.request({ id: 'r', isAsking: false });
    await cards.request({ id: 's' });
    await cards.answered('s');
    await again.settled(30_000);
    expect(await cards.stored()).toEqual(['dead']);
    await again.deadLetters.redrive(letter?.id as string, BY);
    expect((await cards.answered('r', 4)).body).toMatch(/HF_REQUEST_UNDONE"/);
    await again.settled(30_000);
    expect([await cards.effects(), await cards.stored()]).toEqual([['charge 1', 'refund 1', 'charge 1'], []]);
  });

  it('a batch undoes those that ran, and only those', async () => {
    const first = await cards.start();
    const ids = Array.from({ length: 8 }, (_, n) => `${n}`);
    for (const id of ids.slice(0, 4)) await cards.request({ id });
    for (const id of ids.slice(0, 4)) await cards.answered(id);
    await cards.stop(first);
    for (const id of ids) await cards.undo({ id: `u${id}`, request: id });
    for (const id of ids) await cards.undo({ id: `v${id}`, request: id });
    for (const id of ids) await cards.request({ id });
    await cards.start({ charge: { batchSize: 20, concurrency: 1 }, refund: { batchSize: 20, concurrency: 1 } });
    for (const id of ids) expect(await cards.answered(`u${id}`)).toMatchObject(DONE);
    for (const id of ids) expect(await cards.answered(`v${id}`)).toMatchObject(DONE);
    for (const id of ids) await cards.answered(id, Number(id) < 4 ? 2 : 1);
    const effects = await cards.effects();
    const count = (what: string) => effects.filter((effect) => effect === what).length;
    // Those that had not come before came beside their undoing: they ran and were undone, or neither.
    expect(count('charge 1')).toBe(count('refund 1'));
    for (const id of ids) expect(await cards.memory(id)).toMatch(/cancelled|compensated/);
    expect(await cards.stored('cards.refund')).toEqual([]);
  });

  it('what waits in its key behind a request that is undone has its turn', async () => {
    const seen: string[] = [];
    const bus = await cards.start({
      charge: { ordering: 'key' },
      charging: ({ id }) => {
        seen.push(id);
        if (id === 'r') throw new Error('the bank is closed');
      },
    });
    await cards.request({ id: 'r', key: 'k' });
    await cards.answered('r');
    await cards.request({ id: 'behind', key: 'k' });
    await eventually(
      () => cards.stored(),
      (states) => states.includes('waiting'),
    );
    await cards.undo({ id: 'u' });
    await cards.answered('u');
    expect(await cards.answered('behind')).toMatchObject({ type: 'holdfast.reply' });
    expect([seen, (await bus.deadLetters.list({})).items]).toEqual([['r', 'r', 'r', 'behind'], []]);
  });

  it('an undoing of the wrong handler, or where nobody can tell, is not handled but shown to a person', async () => {
    const bus = await cards.start();
    await cards.undo({ id: 'wrong', requestType: 'stock.reserve' });
    expect((await cards.answered('wrong')).body).toMatch(/HF_COMPENSATION_UNGUARDED.*that is a stock.reserve, and it undoes card.charge/);
    await cards.undo({ id: 'old', daysAgo: 9 });
    expect((await cards.answered('old')).body).toMatch(/HF_COMPENSATION_EXPIRED/);
    await cards.undo({ id: 'seen', daysAgo: 9, hasRun: true });
    expect((await cards.answered('seen')).body).toMatch(/HF_IDEMPOTENT_EXPIRED/);
    expect([await cards.effects(), (await bus.deadLetters.list({})).items.length, await cards.memory()]).toEqual([[], 3, undefined]);
    // A person has found out that it ran.
    for (const { id } of (await bus.deadLetters.list({ code: 'HF_COMPENSATION_EXPIRED' })).items) await bus.deadLetters.redrive(id, BY);
    expect(await cards.answered('old', 2)).toMatchObject(DONE);
    expect(await cards.effects()).toEqual(['refund 1']);
  });

  it('a command that undoes no request is handled as any other', async () => {
    const bus = await cards.start();
    await bus.bus.send(new RefundCard('7'));
    await begun();
    expect(await cards.effects()).toEqual(['refund 7']);
  });
});
