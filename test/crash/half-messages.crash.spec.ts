// Units with half messages, whose process or server comes to grief between the register, the COMMIT and the broker.
import { describeWithRabbit, EmbeddedPostgres, openRabbit, type RabbitArea, PATIENCE_MS } from '@holdfast-internal/test-support';
import type { ProgramOptions } from './programs/options.js';
import { account, pause } from './support/account.js';
import { type Arena, openArena } from './support/arena.js';
import { stopped } from './support/frozen.js';
import { buildPrograms, killPrograms, Program } from './support/program.js';

const HALF = { protocol: 'half-message', keys: 0 } as const;
const SUBSCRIPTIONS = [{ name: 'single' }, { name: 'batch', batchSize: 8 }];
const DAY_MS = 86_400_000;
const PROMISES = { once: ['single', 'batch'] };
/** One by one, so that one of them is where it freezes. */
const SLOWLY = { ...HALF, prefix: 'late', count: 4, concurrency: 1, rollbackShare: 0 } as const;

async function decisions(arena: Arena): Promise<unknown> {
  const rows = await arena.look<{ status: string; n: number }>('select status, count(*)::int as n from holdfast_guard group by 1');
  return Object.fromEntries(rows.map(({ status, n }) => [status, n]));
}

const registered = async (arena: Arena): Promise<number> =>
  ((await arena.look<{ n: number }>('select count(*)::int as n from holdfast_half_message'))[0] as { n: number }).n;

async function untilSettled(arena: Arena): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; (await registered(arena)) > 0; await pause(100))
    if (performance.now() > end) throw new Error(`${await registered(arena)} messages are still registered`);
}

beforeAll(buildPrograms);
afterAll(killPrograms);

it.concurrent('a process frozen between register and COMMIT is decided against: it fails when it wakes, and its message is never seen', async () => {
  const arena = await openArena();
  const options = { url: arena.url, lanes: 2 };
  const other = await new Program({ ...options, subscriptions: SUBSCRIPTIONS }).ready();
  const writer = new Program({ ...options, subscriptions: [] }, { failpoint: 'half-message:after-register=stop@3' });
  await writer.ready();
  writer.order({ publish: SLOWLY });
  await stopped(writer);
  await untilSettled(arena);
  expect(await decisions(arena)).toEqual({ committed: 2, 'rolled-back': 1 });

  writer.signal('SIGCONT');
  await writer.line('published');
  const { faults } = await account(arena, [writer, other], { ...PROMISES, minimum: 3 });
  expect({ faults, refused: writer.said('refused') }).toMatchObject({
    faults: [],
    refused: [{ id: 'late-2', code: 'HF_HALF_MESSAGE_ROLLED_BACK' }],
  });
  await arena.close();
});

it.concurrent('what a process had committed when it froze is sent by another one, and nothing doubles when it wakes', async () => {
  const arena = await openArena();
  const options = { url: arena.url, lanes: 2 };
  const other = await new Program({ ...options, subscriptions: SUBSCRIPTIONS }).ready();
  const writer = new Program({ ...options, subscriptions: [] }, { failpoint: 'unit:after-commit=stop@3' });
  await writer.ready();
  writer.order({ publish: SLOWLY });
  await stopped(writer);
  // Nobody was told of the third one, which is committed all the same.
  const { faults, ...sent } = await account(arena, [other], { ...PROMISES, minimum: 0 });
  expect({ lost: faults.filter((fault) => !fault.endsWith('never attempted')), sent }).toMatchObject({ lost: [], sent: { effects: 6 } });

  writer.signal('SIGCONT');
  await writer.line('published');
  expect(await account(arena, [writer, other], { ...PROMISES, minimum: 4 })).toMatchObject({ faults: [], committed: 4, effects: 8 });
  await untilSettled(arena);
  expect(await decisions(arena)).toEqual({ committed: 4 });
  await arena.close();
});

it.concurrent('a question after a restart of everything gets the answer of the COMMIT, and so does a second one', async () => {
  const arena = await openArena();
  const options: ProgramOptions = { url: arena.url, lanes: 2, subscriptions: SUBSCRIPTIONS, retentionMs: 30 * DAY_MS };
  const reader = await new Program(options).ready();
  const dead = await new Program({ ...options, subscriptions: [] }, { failpoint: 'unit:after-commit=kill@3' }).ready();
  await reader.kill();
  dead.order({ publish: SLOWLY });
  await dead.end();
  // As after a weekend: the question is asked at once, about a transaction that ended long ago.
  await arena.look(
    `update holdfast_half_message set registered_at = registered_at - interval '3 days', check_at = check_at - interval '3 days'`,
  );
  await arena.look(`update holdfast_guard set decided_at = decided_at - interval '3 days'`);
  const next = await new Program(options).ready();
  expect((await account(arena, [reader, dead, next], { ...PROMISES, minimum: 2 })).faults).toEqual([]);
  await untilSettled(arena);
  // Each of them is registered again, as if it had been forgotten to be taken out.
  await arena.look(
    `insert into holdfast_half_message (unit_id, ordinal, check_at, transport, type, attributes, body)
     select g.key, 0, clock_timestamp(), 'default', o.type, o.attributes, o.body from holdfast_guard g cross join lateral (select * from holdfast_outbox limit 1) o`,
  );
  await untilSettled(arena);
  const { faults } = await account(arena, [reader, dead, next], { ...PROMISES, minimum: 2 });
  expect({ faults, decisions: await decisions(arena) }).toEqual({ faults: [], decisions: { committed: 3 } });
  await next.stop();
  await arena.close();
});

/** A load of half messages over a carrier, while the database server is killed three times. */
async function underKills(carrier: Pick<ProgramOptions, 'broker'>): Promise<void> {
  const postgres = await EmbeddedPostgres.start();
  try {
    const arena = await openArena(await postgres.createDatabase('broken'));
    const subscriptions = SUBSCRIPTIONS.map((each) => ({ ...each, attempts: 30 }));
    const program = await new Program({ url: arena.url, lanes: 4, subscriptions, ...carrier }).ready();
    const load = { ...HALF, concurrency: 6, perSecond: 50, kinds: ['ok', 'ok', 'throw-once'], rollbackShare: 0.1 } as const;
    const published = program.publish({ ...load, untilAcknowledged: 150 }, 180_000);
    for (let kill = 0; kill < 3; kill += 1) {
      await pause(900);
      await postgres.kill();
      await pause(200);
      await postgres.start();
    }
    await published;
    const { faults } = await account(arena, [program], { ...PROMISES, minimum: 150 });
    expect(faults).toEqual([]);
    await untilSettled(arena);
    await program.stop();
    await arena.close();
  } finally {
    await killPrograms();
    await postgres.remove();
  }
}

describe('a server that is killed three times under load loses and doubles nothing, and shows nothing that was rolled back', () => {
  it('where subscriptions read the log', () => underKills({}));

  describeWithRabbit('over RabbitMQ', () => {
    let area: RabbitArea;
    beforeAll(async () => {
      area = await openRabbit();
    });
    afterAll(() => area.drop());

    it('where the messages go to the broker', () => underKills({ broker: { url: area.url, exchange: area.name() } }));
  });
});
