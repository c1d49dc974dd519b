import { measured } from '@holdfast-internal/test-support';
import type { FailpointName } from '@holdfast/core';
import type { ProgramOptions, Publishing } from './programs/options.js';
import { account } from './support/account.js';
import { type Arena, openArena } from './support/arena.js';
import { stopped } from './support/frozen.js';
import { killPrograms, Program } from './support/program.js';

/** What the design promises for what a frozen process had in its hands, and what starting a process takes on a busy machine. */
const TAKE_OVER_MS = 10_000;
const START_MS = 20_000;

const SUBSCRIPTIONS = [
  { name: 'ordered', isOrdered: true },
  { name: 'batch', batchSize: 4 },
  { name: 'leased', isTransactional: false, lockTtlMs: 2000 },
];
const PROMISES = { once: ['ordered', 'batch'], ordered: ['ordered'], atLeastOnce: ['leased'], minimum: 15 };

interface Place {
  readonly at: FailpointName;
  readonly publishing?: Omit<Publishing, 'prefix'>;
  readonly options?: Partial<ProgramOptions>;
  /** It freezes over what another process, without these options, has left. */
  readonly isAfterWork?: true;
}

const PLACES: readonly Place[] = [
  { at: 'delivery:after-take', publishing: { kinds: ['ok', 'throw-once'] } },
  { at: 'scheduled:after-move', publishing: { delayMs: 50 } },
  // So many that a hole with a message behind it, in some lane, is certain.
  { at: 'fence:before-verdict', publishing: { count: 120, rollbackShare: 0.4 } },
  { at: 'trim:after-delete', options: { retentionMs: 1 }, isAfterWork: true },
];

async function handleSome(arena: Arena, options: ProgramOptions): Promise<Program> {
  const program = await new Program(options).ready();
  await program.publish({ count: 20 });
  await account(arena, [program], PROMISES);
  await program.stop();
  return program;
}

/** Freezes one there; gives how long another one, that is started then, needs for all of its work. */
async function takeOver({ at, publishing, options, isAfterWork }: Place): Promise<number> {
  const arena = await openArena();
  const plain: ProgramOptions = { url: arena.url, lanes: 4, subscriptions: SUBSCRIPTIONS };
  const full = { ...plain, ...options };
  const before = isAfterWork ? [await handleSome(arena, plain)] : [];
  const sleeping = new Program(full, { failpoint: `${at}=stop` });
  // What has work to do at once may freeze before it is ready.
  if (isAfterWork === undefined) {
    await sleeping.line('ready');
    sleeping.order({ publish: { prefix: 'first', count: 20, ...publishing } });
  }
  await stopped(sleeping);

  const slept = performance.now();
  const healthy = await new Program(full).ready();
  await healthy.publish({ count: 20, keyPrefix: 'other', ...publishing });
  const { faults } = await account(arena, [...before, sleeping, healthy], {
    ...PROMISES,
    minimum: publishing?.rollbackShare === undefined ? PROMISES.minimum : 8,
  });
  expect(faults).toEqual([]);
  const tookMs = performance.now() - slept;
  await Promise.all([healthy, sleeping].map((program) => program.kill()));
  await arena.close();
  return tookMs;
}

describe('a process frozen in the midst of', () => {
  afterAll(killPrograms);

  it.concurrent.each(PLACES)('$at: another one takes over all it held', async (place) => {
    const tookMs = await measured(
      () => takeOver(place),
      (ms) => ms < TAKE_OVER_MS + START_MS,
    );
    expect(tookMs).toBeLessThan(TAKE_OVER_MS + START_MS);
  });
});
