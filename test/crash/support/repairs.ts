import { Client } from 'pg';
import type { Repair } from '../programs/options.js';
import type { Arena } from './arena.js';
import { type Death, none, type Scene } from './deaths.js';
import { Program } from './program.js';

/** Runs one process until it has as many dead letters as messages, one for each of two keys or two of one key, and stops it. */
function leaveDead(kind: 'throw' | 'defect', keys: 1 | 2): (scene: Scene) => Promise<Program> {
  return async ({ arena, options }) => {
    const subscriptions = options.subscriptions.map((each) => ({ ...each, isMended: false }));
    const program = await new Program({ ...options, subscriptions }).ready();
    await program.publish({ count: 2, keys, keyPrefix: `${kind}-${program.pid}`, concurrency: 1, kinds: [kind], rollbackShare: 0 });
    await none(arena, `select 2 - count(*) as n from holdfast_delivery where state = 'dead'`);
    await program.stop();
    return program;
  };
}

/** The repair is written and not committed, because its line in the audit has to wait, while `meanwhile` goes on. */
async function withOpenRepair(program: Program, arena: Arena, repair: Repair & { readonly meanwhile: () => Promise<void> }): Promise<void> {
  const { meanwhile, ...order } = repair;
  const stranger = new Client({ connectionString: arena.url });
  await stranger.connect();
  await stranger.query('begin');
  await stranger.query('lock table holdfast_audit in exclusive mode');
  program.order({ repair: order });
  await none(arena, `select 1 - count(*) as n from pg_locks where relation = 'holdfast_audit'::regclass and not granted`);
  await meanwhile();
  await stranger.query('commit');
  await stranger.end();
}

const waiting = (arena: Arena, least: number) =>
  none(arena, `select greatest(0, ${least} - count(*)) as n from holdfast_delivery where state = 'waiting'`);

/** What is in front of two keys is discarded, and meanwhile a message of each is put behind it. */
export function discardInFront(hit: 1 | 2): Death {
  return {
    at: 'dead-letter:before-free',
    hit,
    before: leaveDead('throw', 2),
    work: async (program, { arena, options }) => {
      const [letter] = await arena.look<{ key: string }>(`select key from holdfast_delivery where state = 'dead'`);
      const keyPrefix = letter?.key.replace(/-\d$/, '');
      const meanwhile = async () => {
        await program.publish({ count: 2, keys: 2, keyPrefix, rollbackShare: 0 });
        await waiting(arena, 2);
      };
      const which = { subscription: options.subscriptions[0]?.name as string };
      await withOpenRepair(program, arena, { how: 'discard', which, meanwhile });
    },
    // The keys that were not looked at.
    left: (arena) => waiting(arena, 3 - hit),
  };
}

/** The first of two dead letters of one key is in work again; the second is put behind it, and meanwhile the first succeeds. */
export const REDRIVE_BEHIND: Death = {
  at: 'dead-letter:before-free',
  // Of the second repair.
  hit: 2,
  before: leaveDead('defect', 1),
  work: async (program, { arena }) => {
    const letters = await arena.look<{ id: string; message_id: string }>(
      `select id, message_id from holdfast_delivery where state = 'dead' order by id`,
    );
    const [first, second] = letters as [{ id: string; message_id: string }, { id: string }];
    program.order({ repair: { how: 'redrive', which: first.id } });
    await program.line('called');
    const meanwhile = () => none(arena, `select count(*) as n from holdfast_delivery where message_id = $1`, [first.message_id]);
    await withOpenRepair(program, arena, { how: 'redrive', which: second.id, meanwhile });
  },
  left: (arena) => waiting(arena, 1),
};
