import { type Simulated, simulate } from './simulate.spec.js';

/** Other seeds each day; a row of them, so that one is easy to name. */
const TODAY = Math.floor(Date.now() / 86_400_000) * 10_000;
const { HOLDFAST_SIMULATION_SEED: given, HOLDFAST_SIMULATION_COUNT: count = given === undefined ? '1000' : '1' } = process.env;
const FIRST = Number(given ?? TODAY);
const SEEDS = Array.from({ length: Number(count) }, (_, at) => FIRST + at);
const RUN_MS = 900_000;

/** What has to come up in a thousand seeds, as their traces tell. */
const EVENTS = {
  'sagas that are completed': /: completed$/,
  'sagas that are compensated': /: compensated$/,
  'sagas that wait for a person': /: \S+ parked/,
  repairs: /operator: (resume|retry) t/,
  'steps that somebody does by hand': /: \S+ skipped/,
  'sagas that somebody cancels': /operator: cancel/,
  'children that are started': /t\d+\/\w+: started$/,
  'steps that are left out': / left-out$/,
  'steps that go on without a reply': /does not ask again$/,
  'replies that are late': /got no reply/,
  'requests that come after they were undone': /dropped, it was undone/,
  'messages that come when all is over': /comes when all is over$/,
  'compensations with nothing to undo': /: needless$/,
  'requests that are repeated': /: again$/,
  deadlocks: /deadlock over/,
  'servers that crash': /: crash /,
  'processes that die': /: kill bank/,
  'processes that die of a step': /kill bank-\d+ by what/,
  'processes that die before a COMMIT': /at unit:before-commit/,
  'processes that die after a COMMIT': /at unit:after-commit/,
  'processes that die before a failure is counted': /at saga:before-record/,
  'processes that are taken for dead': /throw out/,
  'steps given up after deaths': /processes in a row ended/,
  'tries that are confirmed': /branch \d is confirmed/,
  'tries that are cancelled': /branch \d is cancelled/,
  'tries that wait for a person': /branch \d is parked/,
  'units that were decided against': /failed with HF_TCC_DECIDED/,
  'processes that die with a try': /at try:after-commit/,
  'processes that die with the end of a try': /at branch:after-call/,
  'handlers outside any transaction': /: done outside$/,
  'requests that somebody has in work': /failed \(\d\): .*in work/,
  'parts of trips that are undone': /: undone$/,
  'trips whose abort meets what comes late': /: dropped, its saga is off$/,
  'undos that wait for a person': /undo \d+ is given up/,
  'processes that die with a part': /at choreography:after-record/,
  'processes that die with an abort': /at choreography:after-abort/,
  'processes that die with an undo': /at choreography:after-undo/,
};

describe('a simulated bank', () => {
  const failed: Simulated[] = [];
  const seen = new Set<string>();
  let last: Simulated | undefined;

  beforeAll(async () => {
    const before = process.cpuUsage();
    for (const seed of SEEDS) {
      const one = await simulate(seed);
      if (one.problems.length > 0) failed.push(one);
      for (const [name, pattern] of Object.entries(EVENTS))
        if (!seen.has(name) && one.trace.some((line) => pattern.test(line))) seen.add(name);
      last = one;
    }
    if (SEEDS.length === 1) process.stdout.write(`${last?.trace.join('\n')}\n`);
    const { user, system } = process.cpuUsage(before);
    if (SEEDS.length > 1)
      process.stdout.write(
        `simulated the seeds ${FIRST} to ${SEEDS.at(-1)}, in ${Math.round((user + system) / 1e6)} s of processor time\n`,
      );
  }, RUN_MS);

  it(`keeps its money, does and undoes each thing once and in order, and comes to an end: the seeds from ${FIRST} on`, () => {
    expect(failed.map(({ seed, problems }) => `npm run simulate -- --seed ${seed}\n  ${problems.slice(0, 5).join('\n  ')}`)).toEqual([]);
  });

  it('does the same again with the same seed', async () => {
    const again = await simulate(SEEDS.at(-1) as number);
    expect(again.trace).toEqual(last?.trace);
  });

  (SEEDS.length < 1000 ? it.skip : it)('meets everything that can go wrong', () => {
    expect(Object.keys(EVENTS).filter((name) => !seen.has(name))).toEqual([]);
  });
});
