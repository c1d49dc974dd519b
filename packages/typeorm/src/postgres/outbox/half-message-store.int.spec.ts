import { servers, type TestDatabase, createStoreDatabase } from '@holdfast-internal/test-support';
import { type OpenStore, openStore } from '../../../../../test/log/support/open-store.js';
import { RawTransaction } from '../../../../../test/log/support/raw-transaction.js';

const LATER_MS = 60_000;

describe.each(servers())('half messages on $name', (postgres) => {
  let database: TestDatabase;
  let one: OpenStore;
  /** That has what was registered. */
  let server: string;

  beforeEach(async () => {
    database = await createStoreDatabase(4, postgres);
    one = await openStore(database.url, { lanes: 4 });
  });

  afterEach(async () => {
    await one.close();
    await database.drop();
  });

  async function registered(...units: readonly string[]): Promise<void> {
    const message = (unitId: string) => ({
      unitId,
      ordinal: 0,
      transport: 'default',
      type: 'test.happened',
      attributes: '{}',
      body: Buffer.from(unitId),
    });
    server = await one.store.halfMessages.register(units.map(message), 0);
  }

  const check = async () =>
    (await one.store.halfMessages.checkBack({ limit: 100, againMs: LATER_MS })).units.map(({ unitId, outcome }) => `${unitId} ${outcome}`);

  const becomeDue = () => one.query('update holdfast_half_message set check_at = clock_timestamp()');

  async function decided(unitId: string, isCommitted = false): Promise<RawTransaction> {
    const tx = await RawTransaction.open(database.url);
    await one.store.halfMessages.commitWith(tx, { unitId, server });
    if (isCommitted) await tx.commit();
    return tx;
  }

  /** The connection over which messages are registered. */
  const registering = () =>
    one.query<{ pid: number }>(
      `select pid from pg_stat_activity where query like '%insert into holdfast_half_message%' and pid <> pg_backend_pid() and datname = current_database()`,
    );

  it('of a transaction that is open are asked about again later, and those of others are settled meanwhile', async () => {
    await registered('open', 'done', 'silent');
    await decided('done', true);
    const open = await decided('open');
    expect((await check()).sort()).toEqual(['done committed', 'open unknown', 'silent rolled-back']);
    expect(await check()).toEqual([]);
    await open.commit();
    await becomeDue();
    expect(await check()).toEqual(['open committed']);
  });

  it('of a transaction that was open and is rolled back are dropped', async () => {
    await registered('open');
    const open = await decided('open');
    expect(await check()).toEqual(['open unknown']);
    await open.rollback();
    await becomeDue();
    expect(await check()).toEqual(['open rolled-back']);
  });

  it('are settled beside many transactions that stay open, however many are looked at first', async () => {
    const open = Array.from({ length: 14 }, (_, n) => `open${n}`);
    const silent = Array.from({ length: 6 }, (_, n) => `silent${n}`);
    await registered(...open, ...silent);
    const transactions = await Promise.all(open.map((unit) => decided(unit)));
    const looks = [await check(), await check()];
    expect(looks.map(({ length }) => length)).not.toContain(0);
    expect(looks.flat().sort()).toEqual([...open.map((unit) => `${unit} unknown`), ...silent.map((unit) => `${unit} rolled-back`)].sort());
    await Promise.all(transactions.map((tx) => tx.commit()));
    await becomeDue();
    await check();
    expect(await one.query('select count(*)::int as n from holdfast_outbox')).toEqual([{ n: open.length }]);
  });

  const withPrepared = postgres.maxPreparedTransactions > 0 ? it : it.skip;

  withPrepared('of a transaction that is prepared are asked about again later, also after whoever prepared it is gone', async () => {
    await registered('branch');
    await (await decided('branch')).prepare('half-message-branch');
    expect(await check()).toEqual(['branch unknown']);
    await one.query(`commit prepared 'half-message-branch'`);
    await becomeDue();
    expect(await check()).toEqual(['branch committed']);
  });

  it('make their commit durable where the session does not ask for it', async () => {
    const tx = await RawTransaction.open(database.url);
    await tx.client.query('set local synchronous_commit = off');
    await registered('unit');
    await one.store.halfMessages.commitWith(tx, { unitId: 'unit', server });
    expect((await tx.client.query<{ on: string }>(`select current_setting('synchronous_commit') as on`)).rows).toEqual([{ on: 'on' }]);
    await tx.commit();
  });

  it('that were registered on another server than COMMIT goes to, roll their unit back, and the next ones get a new connection', async () => {
    await registered('elsewhere');
    const before = await registering();
    server = `${Number(server) - 1}`;
    await expect(decided('elsewhere', true)).rejects.toMatchObject({ code: 'HF_HALF_MESSAGE_SERVER' });
    expect(await check()).toEqual(['elsewhere rolled-back']);
    await registered('here');
    expect(await registering()).not.toEqual(before);
  });

  it('are registered on a new connection when theirs is cut', async () => {
    await registered('before');
    const cut = await one.query(
      `select pg_terminate_backend(pid, 1000) as was from pg_stat_activity where query like '%holdfast_half_message%' and pid <> pg_backend_pid() and datname = current_database()`,
    );
    expect(cut).toEqual([{ was: true }]);
    // The end of the old one may arrive with the next statement.
    await registered('after').catch(() => registered('after'));
    expect((await check()).sort()).toEqual(['after rolled-back', 'before rolled-back']);
  });
});
