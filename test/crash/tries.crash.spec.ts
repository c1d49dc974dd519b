import { EmbeddedPostgres } from '@holdfast-internal/test-support';
import { pause } from './support/account.js';
import { openArena } from './support/arena.js';
import { stopped } from './support/frozen.js';
import { buildPrograms, killPrograms, Program } from './support/program.js';
import { accountOfTries, endOfDeadly, faultsOf, triedEach, tryEach, WITH_TRIES } from './support/tries.js';

const servers: EmbeddedPostgres[] = [];

describe('tries', () => {
  beforeAll(buildPrograms);
  afterAll(async () => {
    await killPrograms();
    await Promise.all(servers.map((each) => each.remove()));
  });

  it.each([
    ['try:after-register', 3, 'HF_TCC_REFUSED'],
    ['try:after-call', 4, 'HF_TCC_COMMIT_UNKNOWN'],
    ['try:after-commit', 4, 'HF_TCC_DECIDED'],
    ['branch:after-lock', 3, undefined],
    ['branch:after-call', 3, undefined],
  ] as const)(
    'of a process that freezes at %s (hit %i) are ended by another one, and it changes nothing when it wakes',
    async (at, hit, code) => {
      const arena = await openArena();
      const options = { ...WITH_TRIES, url: arena.url };
      const one = await new Program(options, { failpoint: `${at}=stop@${hit}` }).ready();
      // One after another: it is known which of them is in hand.
      one.order({ callTries: { prefix: 'a', count: 4, how: 'well' } });
      await stopped(one);
      const inHand = one.said('unit ended').length;
      const other = await new Program(options).ready();
      tryEach(other, 'b');
      await triedEach(other, 'b');
      expect(faultsOf(await accountOfTries(arena))).toEqual([]);
      one.signal('SIGCONT');
      await one.line('unit ended', ({ id }) => id === 'well a-3');
      if (code !== undefined) expect(one.said('unit ended')[inHand]?.code).toBe(code);
      expect(faultsOf(await accountOfTries(arena))).toEqual([]);
      await one.stop();
      await other.stop();
      await arena.close();
    },
  );

  it('of a process that is killed are ended by one that runs beside it within seconds', async () => {
    const arena = await openArena();
    const options = { ...WITH_TRIES, url: arena.url, tryTimeoutMs: 60_000 };
    const beside = await new Program(options).ready();
    tryEach(beside, 'b');
    await triedEach(beside, 'b');
    const one = await new Program(options, { failpoint: 'try:after-commit=kill@6' }).ready();
    tryEach(one, 'a');
    await one.end();
    const diedAt = performance.now();
    expect(faultsOf(await accountOfTries(arena))).toEqual([]);
    // Silent for six seconds, then found, and long before the tries' own time-out.
    expect(performance.now() - diedAt).toBeLessThan(40_000);
    await beside.stop();
    await arena.close();
  });

  it('of processes that are killed again and again all end, each with one effect', async () => {
    const arena = await openArena();
    const options = { ...WITH_TRIES, url: arena.url };
    for (let round = 0; round < 4; round += 1) {
      const both = await Promise.all([new Program(options).ready(), new Program(options).ready()]);
      for (const [n, program] of both.entries()) tryEach(program, `${round}.${n}`, 15);
      await pause(600);
      for (const program of both) await program.kill();
    }
    const last = await new Program(options).ready();
    tryEach(last, 'last');
    await triedEach(last, 'last');
    expect(faultsOf(await accountOfTries(arena, 120_000))).toEqual([]);
    await last.stop();
    await arena.close();
  });

  it.each(['confirm', 'cancel'] as const)(
    'whose %s kills every process that calls it are parked with the reason, and all others end',
    async (operation) => {
      const arena = await openArena();
      const { parked, deadly, wrong, frozen, deaths } = await endOfDeadly(arena, operation);
      expect(parked).toEqual([{ operation, failure: expect.stringMatching(/HF_TCC_KILLED.*3 processes in a row/) }]);
      // What it holds is not lost: a person decides.
      expect({ deadly, wrong, frozen, deaths }).toEqual({ deadly: ['freeze'], wrong: [], frozen: 10, deaths: 3 });
      await arena.close();
    },
  );

  it('end as their units did when the database server is killed', async () => {
    const postgres = await EmbeddedPostgres.start();
    servers.push(postgres);
    const arena = await openArena(await postgres.createDatabase('broken'));
    const program = await new Program({ ...WITH_TRIES, url: arena.url }).ready();
    tryEach(program, 'a', 40);
    await pause(500);
    await postgres.kill();
    await postgres.start();
    await triedEach(program, 'a', 40);
    tryEach(program, 'b');
    await triedEach(program, 'b');
    expect(faultsOf(await accountOfTries(arena, 120_000))).toEqual([]);
    await program.stop();
    await arena.close();
  });
});
