// Receipts under kill -9: at every moment there is one for each effect that was committed, and for no other.
import type { ProgramOptions } from './programs/options.js';
import { openArena } from './support/arena.js';
import { killPrograms, Program } from './support/program.js';

const SUBSCRIPTIONS = [
  { name: 'ordered', isOrdered: true },
  { name: 'batch', batchSize: 8 },
];
const MESSAGES = 60;
/** Where a process dies that handles messages: before its handler, after it, and when all but the COMMIT is done. */
const DEATHS = ['inbox:after-insert', 'handler:after', 'unit:after-handling', 'failure:after-record'];

const MISMATCHES = `
  select e.message_id as effect, r.message_id as receipt
  from (select distinct subscription, message_id from effect) e
  full join (select subscription, message_id from holdfast_receipt where status = 'consumed') r using (subscription, message_id)
  where e.message_id is null or r.message_id is null`;

afterEach(killPrograms);

it('a receipt is there with the effect, whenever the process dies', async () => {
  const arena = await openArena();
  const options: ProgramOptions = { url: arena.url, lanes: 4, subscriptions: SUBSCRIPTIONS };
  // Who is known when a message is published is expected to give a receipt.
  const first = await new Program(options).ready();
  await first.stop();
  const mismatches: unknown[] = [];
  let isOver = false;
  const watched = (async () => {
    while (!isOver) {
      mismatches.push(...(await arena.look(MISMATCHES)));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  const publishing = { count: MESSAGES, rollbackShare: 0.1, receipt: true, kinds: ['ok', 'ok', 'throw-once'] } as const;
  for (const [round, at] of DEATHS.entries()) {
    const dying = new Program({ ...options, publishing: { ...publishing, prefix: `m${round}` } }, { failpoint: `${at}=kill@7` });
    expect((await dying.ended).signal).toBe('SIGKILL');
  }
  const last = await new Program(options).ready();
  const [row] = await arena.look<{ n: string }>('select count(*) as n from intent');
  const wanted = SUBSCRIPTIONS.length * Number(row?.n);
  expect(wanted).toBeGreaterThan(20);
  const consumed = async () =>
    Number((await arena.look<{ n: string }>("select count(*) as n from holdfast_receipt where status = 'consumed'"))[0]?.n);
  while ((await consumed()) < wanted) await new Promise((resolve) => setTimeout(resolve, 20));
  await last.stop();
  isOver = true;
  await watched;
  expect(mismatches).toEqual([]);
  expect(await arena.look("select status from holdfast_receipt where status <> 'consumed'")).toEqual([]);
  await arena.close();
});
