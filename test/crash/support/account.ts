import { PATIENCE_MS } from '@holdfast-internal/test-support';
import type { Arena } from './arena.js';
import type { Program } from './program.js';

/** What a run promised. */
export interface Promises {
  /** Subscriptions with exactly one effect per committed message. */
  readonly once?: readonly string[];
  /** Subscriptions with at least one. */
  readonly atLeastOnce?: readonly string[];
  /** Of those, the ones that keep the order of keys. */
  readonly ordered?: readonly string[];
  /** Units that must have been acknowledged, or the run shows nothing. */
  readonly minimum: number;
  /** Kinds of messages that are never handled. */
  readonly never?: readonly string[];
  /** Longest wait for the last effect. */
  readonly patienceMs?: number;
  /** What the broker says of what is missing. */
  readonly brokerSays?: () => string;
}

/** The figures of a run; `faults` is empty when every promise was kept. */
export interface Account {
  readonly attempted: number;
  readonly acknowledged: number;
  readonly refused: number;
  /** Nobody was told how the unit ended: its COMMIT or its process broke. */
  readonly unknown: number;
  /** Units that are in the database. */
  readonly committed: number;
  /** Unknown ones among them. */
  readonly recovered: number;
  readonly effects: number;
  /** Wait for the last effect, from the call on. */
  readonly waitedMs: number;
  readonly faults: readonly string[];
}

/** Messages that one subscription has fewer, or more, effects of. */
interface Difference {
  readonly subscription: string;
  readonly message_id: string;
  readonly effects: string;
  readonly kind: string | null;
}

/** Waits until all effects are there, and then counts everything. */
export async function account(arena: Arena, programs: readonly Program[], promises: Promises): Promise<Account> {
  const started = performance.now();
  const subscriptions = [...(promises.once ?? []), ...(promises.atLeastOnce ?? [])];
  const never = promises.never ?? [];
  const deadline = started + (promises.patienceMs ?? PATIENCE_MS);
  while ((await missing(arena, subscriptions, never)).length > 0 && performance.now() < deadline) await pause(150);
  const waitedMs = Math.round(performance.now() - started);
  // What would be one too many comes late.
  await pause(300);
  const said = saidBy(programs);
  const committed = new Set((await arena.look<{ id: string }>('select id from intent')).map(({ id }) => id));
  const [{ n }] = (await arena.look<{ n: string }>('select count(*) as n from effect')) as [{ n: string }];
  const faults = [
    ...publisherFaults(said, committed),
    ...(await missing(arena, subscriptions, never)).map(
      (row) => `lost: ${row.subscription} has no effect of ${row.message_id} (${row.kind})`,
    ),
    ...(await phantoms(arena)).map((row) => `phantom: ${row.subscription} has an effect of ${row.message_id}, which was never committed`),
    ...(await doubles(arena, promises.once ?? [])).map(
      (row) => `double: ${row.subscription} has ${row.effects} effects of ${row.message_id}`,
    ),
    ...(await disorder(arena, promises.ordered ?? [])),
    ...programs.filter(({ errors }) => errors !== '').map(({ errors }) => `stderr: ${errors.slice(0, 2000)}`),
    ...(said.acknowledged.size < promises.minimum
      ? [`only ${said.acknowledged.size} units were acknowledged, the least is ${promises.minimum}`]
      : []),
  ];
  const { attempted, acknowledged, refused } = said;
  const unknown = [...attempted].filter((id) => !acknowledged.has(id) && !refused.has(id));
  const figures = { attempted: attempted.size, acknowledged: acknowledged.size, refused: refused.size, unknown: unknown.length };
  const recovered = unknown.filter((id) => committed.has(id)).length;
  if (faults.length > 0) console.info(await whereabouts(arena, subscriptions, promises));
  const result = { ...figures, committed: committed.size, recovered, effects: Number(n), waitedMs, faults: faults.slice(0, 20) };
  if (process.env.HOLDFAST_CRASH_FIGURES) console.info(expect.getState().currentTestName, JSON.stringify(result));
  return result;
}

interface Said {
  readonly attempted: Set<string>;
  readonly acknowledged: Set<string>;
  readonly refused: Set<string>;
}

function saidBy(programs: readonly Program[]): Said {
  const ids = (e: 'attempted' | 'acknowledged' | 'refused') => new Set(programs.flatMap((program) => program.said(e).map(({ id }) => id)));
  return { attempted: ids('attempted'), acknowledged: ids('acknowledged'), refused: ids('refused') };
}

/** What the publisher was told is what the database has. */
function publisherFaults({ attempted, acknowledged, refused }: Said, committed: ReadonlySet<string>): string[] {
  return [
    ...[...acknowledged].filter((id) => !committed.has(id)).map((id) => `lost commit: ${id} was acknowledged and is not in the database`),
    ...[...refused].filter((id) => committed.has(id)).map((id) => `false refusal: ${id} was refused and is in the database`),
    ...[...committed].filter((id) => !attempted.has(id.replace(/\.\d+$/, ''))).map((id) => `${id} was committed and never attempted`),
  ];
}

function missing(arena: Arena, subscriptions: readonly string[], never: readonly string[]): Promise<Difference[]> {
  return arena.look<Difference>(
    `select s as subscription, i.message_id, i.kind, 0 as effects from unnest($1::text[]) s cross join (select distinct message_id, kind from intent) i
     where i.kind <> all($2::text[]) and not exists (select from effect e where e.subscription = s and e.message_id = i.message_id) limit 20`,
    [subscriptions, never],
  );
}

function phantoms(arena: Arena): Promise<Difference[]> {
  return arena.look<Difference>(
    'select * from effect e where not exists (select from intent i where i.message_id = e.message_id) limit 20',
  );
}

function doubles(arena: Arena, once: readonly string[]): Promise<Difference[]> {
  return arena.look<Difference>(
    'select subscription, message_id, count(*) as effects from effect where subscription = any($1::text[]) group by 1, 2 having count(*) > 1 limit 20',
    [once],
  );
}

/** Where everything is after a run that did not keep its promises. */
async function whereabouts(arena: Arena, subscriptions: readonly string[], { brokerSays }: Promises): Promise<string> {
  const rows = await arena.look(
    `select 'missing' as what, s as subscription, count(*) as n, null as state, null as is_suspect, null as due from unnest($1::text[]) s
       cross join (select distinct message_id from intent) i
       where not exists (select from effect e where e.subscription = s and e.message_id = i.message_id) group by s
     union all select 'stored', s.name, count(*), d.state, d.is_suspect, min(d.next_attempt_at - clock_timestamp())::text from holdfast_delivery d
       join holdfast_subscription s on s.id = d.subscription_id group by s.name, d.state, d.is_suspect
     union all select 'not relayed', null, (select count(*) from holdfast_parked), 'parked', null, null
     union all select 'session', null, count(*), state, null, max(clock_timestamp() - state_change)::text from pg_stat_activity
       where datname = current_database() group by state`,
    [subscriptions],
  );
  return [...rows.map((row) => Object.values(row).join(' ')), brokerSays?.() ?? ''].join('\n');
}

/** Within a key an effect may not come after one of a later message. */
async function disorder(arena: Arena, ordered: readonly string[]): Promise<string[]> {
  const rows = await arena.look<{ subscription: string; key: string; seq: number; before: number }>(
    `select * from (select subscription, key, seq, max(seq) over (partition by subscription, key order by n rows between unbounded preceding and 1 preceding) as before
       from effect where subscription = any($1::text[]) and key is not null) e where seq < before limit 20`,
    [ordered],
  );
  return rows.map(({ subscription, key, seq, before }) => `disorder: ${subscription} had ${seq} of ${key} after ${before}`);
}

/**
 * Rows of processes, once the only one has stopped. A database that is too busy to answer in time keeps its row, as a warning tells, and others take it away:
 * that one does not count.
 */
export async function rowsLeftBy(arena: Arena, stopped: Program): Promise<readonly unknown[]> {
  const isKept = stopped.said('log').some(({ fields }) => fields.part === 'the row of this process');
  return isKept ? [] : arena.look('select from holdfast_node');
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
