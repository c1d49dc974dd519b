import type { Kind, ProgramOptions } from './programs/options.js';
import { account } from './support/account.js';
import { openArena } from './support/arena.js';
import { killPrograms, Program } from './support/program.js';

/** Where the process dies, one after another, in the midst of messages of which some fail at first. */
const DEATHS = ['inbox:after-insert', 'handler:after', 'unit:after-handling', 'failure:before-record', 'failure:after-record'] as const;
const KINDS: readonly Kind[] = ['ok', 'throw-once', 'ok', 'ok'];

afterEach(killPrograms);

it('handlers of Nest have one effect for each committed message, in order, while their process dies at named steps and by kill -9', async () => {
  const arena = await openArena();
  const options: ProgramOptions = { url: arena.url, lanes: 4, subscriptions: [] };
  const publisher = await new Program(options).ready();
  const programs = [publisher];
  for (const [n, death] of DEATHS.entries()) {
    const consumer = new Program({ ...options, isNest: true }, { failpoint: `${death}=kill@5` });
    programs.push(consumer);
    await publisher.publish({ prefix: `m${n}`, count: 40, kinds: KINDS });
    expect((await consumer.end(30_000)).signal).toBe('SIGKILL');
  }
  const killed = await new Program({ ...options, isNest: true }).ready();
  await publisher.publish({ prefix: 'last', count: 40, kinds: KINDS });
  await killed.kill();
  const last = await new Program({ ...options, isNest: true }).ready();
  programs.push(killed, last);
  const promises = { once: ['ordered', 'batch'], ordered: ['ordered'], minimum: 200 };
  const { faults } = await account(arena, programs, promises);
  expect(faults).toEqual([]);
  expect((await last.stop()).code).toBe(0);
  await publisher.stop();
  await arena.close();
});
