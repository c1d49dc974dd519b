import type { ProgramOptions } from '../programs/options.js';
import { account, pause } from './account.js';
import type { Arena } from './arena.js';
import { none } from './deaths.js';
import { Program } from './program.js';

const HOUR_MS = 3_600_000;
const TTL_MS = HOUR_MS / 2;

/** How far one process's clock is moved. */
export const SHIFTS = [
  ['ahead', HOUR_MS],
  ['behind', -HOUR_MS],
] as const;

const SUBSCRIPTIONS = [
  { name: 'ordered', isOrdered: true, ttlMs: TTL_MS },
  { name: 'batch', batchSize: 8, ttlMs: TTL_MS },
  { name: 'leased', isTransactional: false, lockTtlMs: 2000, ttlMs: TTL_MS },
];
const PROMISES = { once: ['ordered', 'batch'], ordered: ['ordered'], atLeastOnce: ['leased'] };

/** Two processes of which one has its clock moved under load, and then is left alone with all the work; what became of it all. */
export async function workByWrongClock(arena: Arena, also: Partial<ProgramOptions>, clockShiftMs: number) {
  const options: ProgramOptions = { url: arena.url, lanes: 4, subscriptions: SUBSCRIPTIONS, ...also };
  const wrong = await new Program(options, { canShiftClock: true }).ready();
  const right = await new Program(options).ready();
  const kinds = ['ok', 'throw-once', 'slow'] as const;
  const load = Promise.all([wrong, right].map((program) => program.publish({ count: 30, kinds, ms: 20, perSecond: 30 })));
  await pause(500);
  wrong.order({ shiftClockMs: clockShiftMs });
  await load;
  await Promise.all([wrong, right].map((program) => program.publish({ count: 10, delayMs: 300 })));
  // Keys of their own: what is delayed may be overtaken.
  await wrong.publish({ count: 10, keyPrefix: 'last' });
  const { faults } = await account(arena, [wrong, right], { ...PROMISES, minimum: 60 });
  // What is done for good goes after its effect is there.
  await none(arena, `select count(*) as n from holdfast_delivery where state <> 'dead'`);
  const letters = await arena.look('select state, error_code, error_message from holdfast_delivery');
  const [late] = await arena.look<{ ms: number }>(
    `select max(extract(epoch from first - at) * 1000)::float8 as ms from intent
     join lateral (select min(e.at) as first from effect e where e.message_id = intent.message_id) e on true`,
  );
  const nodes = (await arena.look('select id from holdfast_node')).length;
  await right.kill();
  await wrong.publish({ count: 20, keyPrefix: 'alone' });
  const alone = await account(arena, [wrong, right], { ...PROMISES, minimum: 80 });
  return { faults: [...faults, ...alone.faults], letters, nodes, lateMs: late?.ms };
}
