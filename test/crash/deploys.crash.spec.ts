import { PATIENCE_MS } from '@holdfast-internal/test-support';
// A deploy in the middle: two releases of a service work on sagas side by side, and each of them dies.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Arena, openArena } from './support/arena.js';
import { buildPrograms, killPrograms, Program } from './support/program.js';
import { accountOfTries, faultsOf, triedEach, tryEach } from './support/tries.js';
import { accountOfTrips, requestEach, requestedEach, WITH_TRIPS } from './support/trips.js';

const HOWS = ['well', 'declined', 'no van'] as const;
const EACH = 6;
/** What undoes what. */
const UNDOES: Readonly<Record<string, string>> = { release: 'reserve', refund: 'charge', uninsure: 'insure' };

interface Sold {
  readonly id: string;
  readonly version: number;
  readonly status: string;
  readonly what: readonly string[];
}

function start(program: Program, prefix: string): void {
  for (const how of HOWS) program.order({ sell: { prefix: `${how} ${prefix}`, count: EACH, how } });
}

async function started(program: Program, prefix: string): Promise<void> {
  for (const how of HOWS) await program.line('started selling', (line) => line.prefix === `${how} ${prefix}`);
}

async function openOf(arena: Arena, version: number): Promise<number> {
  const [row] = await arena.look<{ n: number }>('select count(*)::int as n from holdfast_saga where ended_at is null and version = $1', [
    version,
  ]);
  return row?.n ?? 0;
}

async function ended(arena: Arena, version: number): Promise<void> {
  for (const until = performance.now() + PATIENCE_MS; performance.now() < until && (await openOf(arena, version)) > 0; await sleep(100));
}

/** An instance that did not go by the steps of its version, or left something undone. */
function isWrong({ id, version, status, what }: Sold): boolean {
  const done = what.filter((one) => UNDOES[one] === undefined);
  const undone = what.flatMap((one) => UNDOES[one] ?? []);
  const steps = version === 1 ? ['charge', 'reserve', 'ship'] : ['charge', 'insure', 'reserve', 'ship'];
  if (version !== (id.includes('old') ? 1 : 2) || done[0] !== 'reserve' || new Set(done).size !== done.length) return true;
  if (status === 'completed') return !id.startsWith('well') || undone.length > 0 || done.toSorted().join() !== steps.join();
  // What ran side by side is undone in the order in which the saga heard of it, which is not that of the rows.
  const isUndone = undone.toSorted().join() === done.toSorted().join() && undone.at(-1) === 'reserve';
  return status !== 'compensated' || done.some((one) => !steps.includes(one)) || !isUndone;
}

beforeAll(buildPrograms);
afterAll(killPrograms);

describe('a deploy with other names for the handlers of choreographed sagas in the middle', () => {
  it('undoes what the old release did, and ends its tries, though all its processes were killed', async () => {
    const arena = await openArena();
    const options = { ...WITH_TRIPS, hasTries: true, url: arena.url } as const;
    const old = await new Program(options, { failpoint: 'choreography:after-undo=kill@2' }).ready();
    tryEach(old, 'old');
    requestEach(old, 't');
    expect((await old.end()).signal).toBe('SIGKILL');
    const fresh = await new Program({ ...options, tripsRelease: 2 }).ready();
    requestEach(fresh, 't');
    tryEach(fresh, 'new');
    await requestedEach(fresh, 't');
    await triedEach(fresh, 'new');
    expect(faultsOf(await accountOfTries(arena))).toEqual([]);
    expect(await accountOfTrips(arena, 4)).toEqual({ open: [], wrong: [], missing: 0, rooms: 4, seats: 4 });
    await fresh.stop();
    await arena.close();
  });
});

describe('a deploy with a new version of a saga in the middle', () => {
  it('leaves old instances to their version and starts new ones by the new one, while processes of both are killed', async () => {
    const arena = await openArena();
    const options = { url: arena.url, lanes: 4, subscriptions: [] } as const;
    const shop = { ...options, service: 'shop', selling: 'shop' } as const;
    const bank = await new Program({ ...options, service: 'bank', selling: 'bank' }).ready();
    const old = await new Program({ ...shop, sellingVersions: [1] }, { failpoint: 'saga:after-call=kill@25' }).ready();
    const fresh = await new Program({ ...shop, sellingVersions: [2] }).ready();
    start(old, 'old');
    start(fresh, 'new');
    expect((await old.end()).signal).toBe('SIGKILL');
    await started(fresh, 'new');
    await ended(arena, 2);
    // Whoever has the new version only has left them alone, though nobody else is there.
    expect(await openOf(arena, 1)).toBeGreaterThan(0);
    start(fresh, 'new again');
    await started(fresh, 'new again');
    await fresh.kill();
    const both = await new Program({ ...shop, sellingVersions: [1, 2] }).ready();
    start(both, 'new at last');
    await started(both, 'new at last');
    await ended(arena, 1);
    await ended(arena, 2);
    // What would be one too many comes late.
    await sleep(1000);
    const sold = await arena.look<Sold>(
      `select s.id, s.version, s.status, array_remove(array_agg(e.subscription order by e.n), null) as what
       from holdfast_saga s left join effect e on e.message_id = s.id group by 1, 2, 3 order by 1`,
    );
    expect(sold.filter(isWrong)).toEqual([]);
    const completed = (version: number) => sold.filter((one) => one.version === version && one.status === 'completed').length;
    expect(sold.filter(({ version }) => version === 2)).toHaveLength(3 * HOWS.length * EACH);
    expect([completed(1) > 0, completed(2) > 0]).toEqual([true, true]);
    await both.stop();
    await bank.stop();
    await arena.close();
  });
});
