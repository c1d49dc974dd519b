import { describeWithRabbit, EmbeddedPostgres, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import { pause } from './support/account.js';
import { openArena } from './support/arena.js';
import { buildPrograms, killPrograms, Program } from './support/program.js';
import { accountOfSelling, killBoth } from './support/selling.js';

const WELL = { wrong: [], hasCompleted: true };
const ALL = { ...WELL, survivors: [], open: 0 };

describe('sagas over two services', () => {
  const servers: EmbeddedPostgres[] = [];

  beforeAll(buildPrograms);
  afterAll(async () => {
    await killPrograms();
    await Promise.all(servers.map((each) => each.remove()));
  });

  it('whose processes are killed at the failpoints on their way all end, done once or undone once', async () => {
    const arena = await openArena();
    expect(await killBoth(arena, {})).toEqual(ALL);
    await arena.close();
  });

  it('go on where they stood when the database server is killed', async () => {
    const postgres = await EmbeddedPostgres.start();
    servers.push(postgres);
    const arena = await openArena(await postgres.createDatabase('broken'));
    const options = { lanes: 4, subscriptions: [], url: arena.url } as const;
    const bank = await new Program({ ...options, service: 'bank', selling: 'bank' }).ready();
    const shop = await new Program({ ...options, service: 'shop', selling: 'shop' }).ready();
    for (const how of ['well', 'declined', 'no van'] as const) shop.order({ sell: { prefix: `${how} a`, count: 15, how } });
    await pause(700);
    await postgres.kill();
    await postgres.start();
    for (const how of ['well', 'declined', 'no van'] as const) await shop.line('started selling', ({ prefix }) => prefix === `${how} a`);
    expect(await accountOfSelling(arena, 45)).toEqual({ ...WELL, ended: 45 });
    await shop.stop();
    await bank.stop();
    await arena.close();
  });
});

describeWithRabbit('sagas over two services', () => {
  let area: RabbitArea;

  beforeAll(async () => {
    buildPrograms();
    area = await openRabbit();
  });
  afterAll(async () => {
    await killPrograms();
    await area.drop();
  });

  it('over RabbitMQ, whose processes are killed at the failpoints on their way, all end, done once or undone once', async () => {
    const arena = await openArena();
    expect(await killBoth(arena, { broker: { url: area.url, exchange: area.name(), heartbeat: '2s' } })).toEqual(ALL);
    await arena.close();
  });
});
