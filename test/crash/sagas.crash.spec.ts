import { EmbeddedPostgres } from '@holdfast-internal/test-support';
import { pause } from './support/account.js';
import { openArena } from './support/arena.js';
import { stopped } from './support/frozen.js';
import { buildPrograms, killPrograms, Program } from './support/program.js';
import { accountOfSagas, startEach, startedEach, WITH_SAGAS } from './support/sagas.js';

const servers: EmbeddedPostgres[] = [];

describe('sagas', () => {
  beforeAll(buildPrograms);
  afterAll(async () => {
    await killPrograms();
    await Promise.all(servers.map((each) => each.remove()));
  });

  it.each(['saga:after-lock', 'saga:after-call', 'saga:after-step'])(
    'of a process that freezes at %s are ended by another one, and it changes nothing when it wakes',
    async (at) => {
      const arena = await openArena();
      const options = { ...WITH_SAGAS, url: arena.url };
      const one = await new Program(options, { failpoint: `${at}=stop@4` }).ready();
      startEach(one, 'a');
      await stopped(one);
      const other = await new Program(options).ready();
      startEach(other, 'a');
      await startedEach(other, 'a');
      expect(await accountOfSagas(arena, 9)).toEqual({ wrong: [], ended: 9 });
      one.signal('SIGCONT');
      await startedEach(one, 'a');
      startEach(one, 'b');
      expect(await accountOfSagas(arena, 18)).toEqual({ wrong: [], ended: 18 });
      await one.stop();
      await other.stop();
      await arena.close();
    },
  );

  it('of processes that are killed again and again all end, each step with one effect', async () => {
    const arena = await openArena();
    const options = { ...WITH_SAGAS, url: arena.url };
    const killed = [];
    for (let round = 0; round < 4; round += 1) {
      const both = await Promise.all([new Program(options).ready(), new Program(options).ready()]);
      for (const [n, program] of both.entries()) startEach(program, `${round}.${n}`, 15);
      await pause(400);
      for (const program of both) await program.kill();
      killed.push(...(await Promise.all(both.map(({ ended }) => ended))).map(({ signal }) => signal));
    }
    const last = await new Program(options).ready();
    startEach(last, 'last');
    await startedEach(last, 'last');
    const [{ n }] = (await arena.look<{ n: string }>('select count(*) as n from holdfast_saga')) as [{ n: string }];
    expect(killed).toEqual(Array.from({ length: 8 }, () => 'SIGKILL'));
    expect(await accountOfSagas(arena, Number(n), 120_000)).toEqual({ wrong: [], ended: Number(n) });
    await last.stop();
    await arena.close();
  });

  it('go on where they stood when the database server is killed', async () => {
    const postgres = await EmbeddedPostgres.start();
    servers.push(postgres);
    const arena = await openArena(await postgres.createDatabase('broken'));
    const program = await new Program({ ...WITH_SAGAS, url: arena.url }).ready();
    startEach(program, 'a', 40);
    await pause(300);
    await postgres.kill();
    await postgres.start();
    startEach(program, 'b', 3);
    await startedEach(program, 'a');
    await startedEach(program, 'b');
    expect(await accountOfSagas(arena, 129)).toEqual({ wrong: [], ended: 129 });
    await program.stop();
    await arena.close();
  });
});
