import { disarmFailpoints } from '../failpoints.js';
import { Bank } from './bank.spec.js';
import { problemsAtTheEnd } from './checker.spec.js';
import { World } from './world.spec.js';

const SLICE_MS = 500;
const CALM_MS = 10 * 60_000;
/** Between two looks of an operator when it is calm, in slices. */
const REPAIR_SLICES = 10;
const STOP_SLICES = 200;

/** What came of one seed. */
export interface Simulated {
  readonly seed: number;
  readonly problems: readonly string[];
  readonly trace: readonly string[];
}

/** Runs the bank of one seed to its end: first everything goes wrong, then nothing, and what is parked is repaired. */
export async function simulate(seed: number): Promise<Simulated> {
  const world = new World(seed);
  disarmFailpoints();
  try {
    const bank = new Bank(world);
    const chaosMs = world.pick([3000, 8000, 16_000]);
    bank.begin(chaosMs);
    await world.time.advance(chaosMs);
    bank.calm();
    const problems = new Set<string>();
    await goOn(world, bank, problems);
    bank.broker.find();
    await goOn(world, bank, problems);
    for (const text of bank.open) problems.add(`still open: ${text}`);
    for (const text of [...problemsAtTheEnd(bank), ...(await stop(world, bank))]) problems.add(text);
    for (const text of problems) world.say('checker', text);
    return { seed, problems: [...problems], trace: world.trace };
  } finally {
    disarmFailpoints();
  }
}

/** Until nothing is open any more, or it takes too long. */
async function goOn(world: World, bank: Bank, problems: Set<string>): Promise<void> {
  const untilMs = world.time.monotonicMs() + CALM_MS;
  for (let slices = 1; bank.open.length > 0 && world.time.monotonicMs() < untilMs; slices += 1) {
    await world.time.advance(SLICE_MS);
    for (const text of bank.idleTimers()) problems.add(text);
    if (slices % REPAIR_SLICES === 0) bank.operator();
  }
}

/** Stops the processes: nothing may be left behind. */
async function stop(world: World, bank: Bank): Promise<readonly string[]> {
  let isStopped = false;
  bank.isOver = true;
  void Promise.all(bank.nodes.map((node) => node.process.run(() => node.stop()))).then(() => {
    isStopped = true;
  });
  // An operator's statement may still be on its way, and code of a client whose unit has run out of time.
  const isOnItsWay = () => bank.nodes.some(({ process, pausing }) => pausing > 0 || bank.db.tripsOf(process) > 0);
  for (let slices = 0; slices < STOP_SLICES && (!isStopped || isOnItsWay()); slices += 1) await world.time.advance(SLICE_MS);
  const problems = isStopped ? [] : ['the processes do not stop'];
  for (const { process } of bank.nodes)
    if (process.timerCount > 0) problems.push(`${process.name} leaves ${process.timerCount} timers behind`);
  for (const { db } of [bank, ...bank.participants])
    if (db.open.size > 0) problems.push(`${db.parts.name} has ${db.open.size} open transactions`);
  return problems;
}
