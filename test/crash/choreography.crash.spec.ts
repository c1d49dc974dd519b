import { describeWithRabbit, EmbeddedPostgres, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import { pause } from './support/account.js';
import { openArena } from './support/arena.js';
import { stopped } from './support/frozen.js';
import { buildPrograms, killPrograms, Program } from './support/program.js';
import { accountOfTrips, requestEach, requestedEach, WITH_TRIPS } from './support/trips.js';

const servers: EmbeddedPostgres[] = [];
const WELL = { open: [], wrong: [], missing: 0 };

describe('choreographed sagas', () => {
  beforeAll(buildPrograms);
  afterAll(async () => {
    await killPrograms();
    await Promise.all(servers.map((each) => each.remove()));
  });

  it.each(['choreography:after-record', 'choreography:after-abort', 'choreography:after-undo'])(
    'of a process that freezes at %s are ended by another one, and it changes nothing when it wakes',
    async (at) => {
      const arena = await openArena();
      const options = { ...WITH_TRIPS, url: arena.url };
      const one = await new Program(options, { failpoint: `${at}=stop@3` }).ready();
      requestEach(one, 'a');
      await stopped(one);
      const other = await new Program(options).ready();
      requestEach(other, 'a');
      await requestedEach(other, 'a');
      expect(await accountOfTrips(arena, 4)).toEqual({ ...WELL, rooms: 4, seats: 4 });
      one.signal('SIGCONT');
      await requestedEach(one, 'a');
      requestEach(one, 'b');
      expect(await accountOfTrips(arena, 8)).toEqual({ ...WELL, rooms: 8, seats: 8 });
      await one.stop();
      await other.stop();
      await arena.close();
    },
  );

  it('of processes that are killed again and again are all undone or left as they are, each part with one effect', async () => {
    const arena = await openArena();
    const options = { ...WITH_TRIPS, url: arena.url };
    const killed = [];
    for (let round = 0; round < 4; round += 1) {
      const both = await Promise.all([new Program(options).ready(), new Program(options).ready()]);
      for (const program of both) requestEach(program, 'all', 15);
      await pause(500);
      for (const program of both) await program.kill();
      killed.push(...(await Promise.all(both.map(({ ended }) => ended))).map(({ signal }) => signal));
    }
    const last = await new Program(options).ready();
    requestEach(last, 'all', 15);
    await requestedEach(last, 'all');
    expect(killed).toEqual(Array.from({ length: 8 }, () => 'SIGKILL'));
    expect(await accountOfTrips(arena, 15, 120_000)).toEqual({ ...WELL, rooms: 15, seats: 15 });
    await last.stop();
    await arena.close();
  });

  it('go on where they stood when the database server is killed', async () => {
    const postgres = await EmbeddedPostgres.start();
    servers.push(postgres);
    const arena = await openArena(await postgres.createDatabase('broken'));
    const program = await new Program({ ...WITH_TRIPS, url: arena.url }).ready();
    requestEach(program, 'a', 20);
    await pause(400);
    await postgres.kill();
    await postgres.start();
    await requestedEach(program, 'a');
    expect(await accountOfTrips(arena, 20, 120_000)).toEqual({ ...WELL, rooms: 20, seats: 20 });
    await program.stop();
    await arena.close();
  });
});

describeWithRabbit('choreographed sagas over RabbitMQ', () => {
  let area: RabbitArea;
  beforeAll(async () => {
    buildPrograms();
    area = await openRabbit();
  });
  afterAll(async () => {
    await killPrograms();
    await area.drop();
  });

  it('end as they should when processes are killed again and again', async () => {
    const arena = await openArena();
    const options = { ...WITH_TRIPS, url: arena.url, broker: { url: area.url, exchange: area.name(), heartbeat: '2s' } } as const;
    for (let round = 0; round < 3; round += 1) {
      const both = await Promise.all([new Program(options).ready(), new Program(options).ready()]);
      for (const program of both) requestEach(program, 'all', 10);
      await pause(600);
      for (const program of both) await program.kill();
    }
    const last = await new Program(options).ready();
    requestEach(last, 'all', 10);
    await requestedEach(last, 'all');
    expect(await accountOfTrips(arena, 10, 120_000)).toEqual({ ...WELL, rooms: 10, seats: 10 });
    await last.stop();
    await arena.close();
  });
});
