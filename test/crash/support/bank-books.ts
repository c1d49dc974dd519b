import type { Transfer } from '../programs/options.js';
import type { Arena } from './arena.js';
import type { Program } from './program.js';

const OPENING = 400;
const NUMBERS = [1, 2, 3];
const SERVICES = ['north', 'south', 'west'];
const TABLES = `
  create table account (name text primary key, free int not null, held int not null);
  create table movement (n bigserial primary key, transfer text not null, what text not null, account text not null, free int not null, held int not null);
  create unique index on movement (transfer, what) where account = 'vault';
  create table mended (at timestamptz not null);
`;

/** What the bank was asked for, and what was done for it. */
interface Case {
  readonly transfer: Transfer;
  /** Of its saga, where it is one that was started. */
  readonly status: string | undefined;
  /** `what` or `what fees`, in order. */
  readonly done: readonly string[];
}

/** What the clients of a bank wanted, and the processes that answered them. */
export interface Business {
  readonly transfers: readonly Transfer[];
  /** Ids of those that were asked for more than once, because a process was killed before it had answered. */
  readonly repeated: ReadonlySet<string>;
  readonly programs: readonly Program[];
}

/** Opens the accounts. */
export async function openAccounts(arena: Arena): Promise<void> {
  await arena.look(TABLES);
  const accounts = SERVICES.flatMap((service) => NUMBERS.map((n) => [`${service}/${n}`, OPENING] as const));
  const empty = [...SERVICES.map((service) => `${service}/fees`), 'vault'].map((name) => [name, 0] as const);
  for (const [name, free] of [...accounts, ...empty]) await arena.look('insert into account values ($1, $2, 0)', [name, free]);
}

/** Sagas, branches and dead letters that wait for a person, each with its reason. */
export async function parkedIn(
  arena: Arena,
): Promise<{ readonly sagas: string[]; readonly branches: string[]; readonly letters: string[] }> {
  const sagas = await arena.look<{ why: string | null }>(
    `select progress::json->'parked'->'failure'->>'message' as why from holdfast_saga where status = 'parked'`,
  );
  const branches = await arena.look<{ why: string | null }>(`select failure as why from holdfast_branch where status = 'parked'`);
  const letters = await arena.look<{ why: string | null }>(`select error_message as why from holdfast_delivery where state = 'dead'`);
  const why = (rows: readonly { readonly why: string | null }[]) => rows.map((row) => row.why ?? 'without a reason');
  return { sagas: why(sagas), branches: why(branches), letters: why(letters) };
}

/** What is wrong with the books: money that is lost or made, accounts that were overdrawn, transfers that have not ended, or are done or undone by half or twice. */
export async function faultsOfBank(arena: Arena, business: Business): Promise<readonly string[]> {
  const cases = await casesOf(arena, business.transfers);
  const [sum] = await arena.look<{ now: number }>('select sum(free + held)::int as now from account');
  const overdrawn = await arena.look<{ account: string; transfer: string }>('select * from movement where free < 0 or held < 0');
  const open = await arena.look<{ id: string; status: string }>(
    `select id, status from holdfast_saga where ended_at is null union all select id, status from holdfast_branch where ended_at is null
     union all select message_id, state from holdfast_delivery`,
  );
  const opened = SERVICES.length * NUMBERS.length * OPENING;
  return [
    ...(sum?.now === opened ? [] : [`there is ${sum?.now} in the accounts, and there was ${opened}`]),
    ...overdrawn.map(({ account, transfer }) => `${account} was overdrawn by ${transfer}`),
    ...open.map(({ id, status }) => `${id} is ${status}`),
    ...cases.filter((one) => !isWhole(one)).map(described),
    ...brokenWords(cases, business),
  ];
}

/** How many transfers ended in which way, for the record. */
export async function endsIn(arena: Arena, transfers: readonly Transfer[]): Promise<Readonly<Record<string, number>>> {
  const ends: Record<string, number> = {};
  for (const one of await casesOf(arena, transfers)) ends[endOf(one)] = (ends[endOf(one)] ?? 0) + 1;
  return ends;
}

async function casesOf(arena: Arena, transfers: readonly Transfer[]): Promise<readonly Case[]> {
  const sagas = await arena.look<{ id: string; status: string }>('select id, status from holdfast_saga');
  const movements = await arena.look<{ transfer: string; what: string[] }>(
    `select transfer, array_agg(what || case when account like '%/fees' then ' fee' else '' end order by n) as what from movement group by 1`,
  );
  const statuses = new Map(sagas.map(({ id, status }) => [id, status]));
  const done = new Map(movements.map(({ transfer, what }) => [transfer, what]));
  return transfers.map((transfer) => ({ transfer, status: statuses.get(transfer.id), done: done.get(transfer.id) ?? [] }));
}

/** What a client was told is so. */
function brokenWords(cases: readonly Case[], { programs, repeated }: Business): readonly string[] {
  const acknowledged = new Set(programs.flatMap((program) => program.said('acknowledged').map(({ id }) => id)));
  const refused = programs.flatMap((program) => program.said('refused')).filter(({ code }) => !code.includes('UNKNOWN'));
  const isRefused = new Set(refused.map(({ id }) => id));
  return cases.flatMap((one) => {
    const { id, how } = one.transfer;
    const isPlaced = how === 'try' ? one.done.includes('placed') : endOf(one) !== `${how}: nothing`;
    const isLost = acknowledged.has(id) && !isPlaced;
    // What is published outside of a unit of work may be there although its client never heard so.
    const isDone = how !== 'choreography' && isRefused.has(id) && !repeated.has(id) && isPlaced;
    return isLost || isDone ? [`${isLost ? 'lost' : 'refused, and done'}: ${described(one)}`] : [];
  });
}

function described({ transfer: { id, how, fate }, status, done }: Case): string {
  return `${id} (${how}, ${fate}): ${status ?? ''} ${done.join(', ')}`;
}

function endOf({ transfer: { how }, status, done }: Case): string {
  if (status !== undefined) return `${how}: ${status}`;
  if (how === 'try') return `try: ${done.includes('placed') ? 'committed' : done.length > 0 ? 'cancelled' : 'nothing'}`;
  return `${how}: ${done.at(-1) ?? 'nothing'}`;
}

function isWhole({ transfer: { how, fate }, status, done }: Case): boolean {
  const count = (what: string) => done.filter((each) => each === what).length;
  const is = (expected: Readonly<Record<string, number>>) => Object.entries(expected).every(([what, n]) => count(what) === n);
  const isNot = fate === 'refused' || fate === 'stuck';
  if (how === 'choreography')
    return [['declined'], isNot ? ['debit', 'hold', 'unhold', 'return'] : ['debit', 'hold', 'settle'], []].some(
      (all) => [...all].sort().join() === [...done].sort().join(),
    );
  const isHeld = count('freeze') === count('take') + count('thaw');
  if (how === 'try') {
    const placed = count('placed');
    const isAnnounced = count('announce') === count('gain') + count('forgo') && count('announce') <= 1;
    return isHeld && isAnnounced && count('freeze') <= 1 && is({ take: placed, gain: placed }) && placed <= (fate === 'refused' ? 0 : 1);
  }
  if (status === undefined) return done.length === 0;
  const debited = count('debit') + count('take');
  if (status === 'completed')
    return !isNot && isHeld && debited === 1 && is({ hold: 1, 'hold fee': 1, settle: 1, return: 0, unhold: 0, 'unhold fee': 0 });
  const lastUnhold = Math.max(done.lastIndexOf('unhold'), done.lastIndexOf('unhold fee'));
  const isReversed = count('return') === 0 || lastUnhold < done.indexOf('return');
  const isUndone = is({ unhold: count('hold'), 'unhold fee': count('hold fee'), return: debited, settle: 0 });
  return status === 'compensated' && isHeld && isUndone && isReversed && debited <= 1 && count('hold') <= 1 && count('hold fee') <= 1;
}
