import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedPostgres } from '@holdfast-internal/test-support';
import { crashSession } from './support/crash-session.js';
import { describeVerdict, History, type Seen, verdictOf } from './support/history.js';
import { type OpenStore, openStore } from './support/open-store.js';
import { CursorReader, createEffects, effectsOf, Fencer, holesLeft, RelayReader, type Running } from './support/readers.js';
import { begin, change, committedFacts, createBusinessTables, Writers } from './support/writers.js';
import { rowOf } from './support/messages.js';

const KEYS = Array.from({ length: 100 }, (_, i) => `key-${i}`);
const WRITERS = 24;
/** Time under load before each kill, and after the last. */
const LOAD_MS = 2000;
const HEALING_MS = 120_000;
/** Fewer successes than this prove nothing. */
const MIN_ACKNOWLEDGED = 400;

let server: EmbeddedPostgres;
let url: string;
const opened: OpenStore[] = [];
const running: Running[] = [];

async function open(): Promise<OpenStore> {
  const one = await openStore(url, { lanes: 8, poolSize: 12 });
  opened.push(one);
  return one;
}

beforeEach(async () => {
  // Killed processes lose nothing they have written; only a machine that loses power does.
  server = await EmbeddedPostgres.start({ fsync: false });
  url = await server.createDatabase('proof');
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
  await Promise.all(opened.splice(0).map((one) => one.close()));
  await server.remove();
});

async function killServer(): Promise<void> {
  await server.kill();
  await server.start();
}

/** Writes under load, with four kills, then waits until the readers have everything. */
async function run(main: OpenStore, seen: () => Promise<Seen[]>): Promise<{ history: History; readers: Seen[]; problems: string[] }> {
  const history = new History();
  const writers = new Writers({ open: main, url, keys: KEYS, history });
  writers.start(WRITERS);
  for (const kill of [killServer, () => crashSession(url), killServer, () => crashSession(url)]) {
    await sleep(LOAD_MS);
    await kill();
  }
  await sleep(LOAD_MS);
  // A busy machine needs longer for as much.
  for (const endMs = performance.now() + HEALING_MS; history.acknowledged <= MIN_ACKNOWLEDGED && performance.now() < endMs; )
    await sleep(50);
  await writers.stop();
  const committed = await patiently(() => committedFacts(main));
  const readers = await until(seen, (all) => all.every((one) => verdictOf(committed, one).lost.length === 0));
  const verdicts = readers.map((one) => verdictOf(committed, one));
  const lines = [history.summary(), ...verdicts.map(describeVerdict)];
  process.stdout.write(`${lines.join('\n')}\n`);
  const wrong = verdicts.filter(({ lost, phantom, outOfOrder }) => lost.length + phantom.length + outOfOrder.length > 0);
  const problems = [...wrong.map(describeVerdict), ...history.contradictions(committed)];
  return { history, readers, problems: problems.length === 0 ? [] : [...problems, history.summary(), ...(await holesLeft(main))] };
}

/** The server may still be recovering. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + HEALING_MS; ; ) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(50);
    }
  }
}

async function until<T>(look: () => Promise<T>, isGood: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + HEALING_MS;
  for (;;) {
    const value = await look();
    if (isGood(value) || Date.now() > deadline) return value;
    await sleep(50);
  }
}

/** New messages flow, and every hole gets its verdict. */
async function expectHealed(main: OpenStore, seen: () => Promise<Seen[]>): Promise<void> {
  const tx = await begin(main.store);
  const facts = await change(tx, 'key-0');
  await main.store.log.append(
    tx,
    facts.map((fact) => rowOf(fact)),
  );
  await tx.commit();
  const isSeen = (all: Seen[]) => all.every((one) => one.facts.some(({ id }) => id === facts[0]?.id));
  expect(isSeen(await until(seen, isSeen))).toBe(true);
  expect(
    await until(
      () => holesLeft(main),
      (holes) => holes.length === 0,
    ),
  ).toEqual([]);
}

describe('the log under kills of the server', () => {
  it('gives a relay every committed message, no other, and each key in order', async () => {
    const main = await open();
    await createBusinessTables(main, KEYS);
    const relay = new RelayReader((await open()).store).start();
    running.push(relay, new Fencer(main.store, 1000).start(), new Fencer((await open()).store, 1000).start());
    const seen = async () => [relay.seen()];

    const { history, problems } = await run(main, seen);
    expect(problems).toEqual([]);
    expect(history.acknowledged).toBeGreaterThan(MIN_ACKNOWLEDGED);
    await expectHealed(main, seen);
  });

  it('gives each subscription one effect per committed message, no other, and each key in order', async () => {
    const main = await open();
    await createBusinessTables(main, KEYS);
    await createEffects(main);
    const ids = await main.register('orders.a', 'orders.b');
    for (const id of ids) await main.store.cursors.create(id, 'now');
    const processes = [await open(), await open(), await open()];
    running.push(
      ...processes.map((one) => new CursorReader(one, ids).start()),
      ...processes.slice(0, 2).map(({ store }) => new Fencer(store, 1000).start()),
    );
    const seen = () => Promise.all(ids.map((id) => effectsOf(main, id)));

    const { history, readers: all, problems } = await run(main, seen);
    expect(problems).toEqual([]);
    expect(all.map(({ facts }) => facts.length - new Set(facts.map(({ id }) => id)).size)).toEqual([0, 0]);
    expect(history.acknowledged).toBeGreaterThan(MIN_ACKNOWLEDGED);
    await expectHealed(main, seen);
  });
});
