import { type FailpointName, type Random, seededRandom } from '@holdfast/core';
import type { Carrier } from '../programs/carriers.js';
import type { ProgramOptions, Transfer } from '../programs/options.js';
import { pause } from './account.js';
import type { Arena } from './arena.js';
import { type Business, endsIn, faultsOfBank, openAccounts, parkedIn } from './bank-books.js';
import { Program } from './program.js';

/** Of each process: two of one service race for the same work. */
const SERVICES = ['north', 'north', 'south', 'west'] as const;
const HOWS = ['saga', 'queued saga', 'try', 'choreography'] as const;
const FATES = ['well', 'well', 'well', 'refused', 'refused', 'falters', 'late', 'stuck'] as const;
/** Of one process. */
const BATCH = 6;
/** Of a process that has work, at most. */
const LIFE_MS = 2000;
/** Places to die at, besides any place at any time. */
const PLACES: readonly FailpointName[] = [
  'saga:after-lock',
  'saga:after-call',
  'saga:after-step',
  'saga:before-record',
  'inbox:after-insert',
  'guard:after-write',
  'handler:after',
  'choreography:after-record',
  'choreography:after-abort',
  'choreography:after-undo',
  'try:after-register',
  'try:after-call',
  'try:after-commit',
  'branch:after-lock',
  'branch:after-call',
  'unit:before-commit',
  'unit:after-commit',
];
/** For what was in hand when a process died, which is known after six seconds, on a busy machine. */
const PATIENCE_MS = 180_000;
/** After a death: what another process does in place of the dead one has begun by then. */
const TAKEN_OVER_MS = 8000;
/** Of one process, until it is at work. */
const MOST_STARTS = 10;
/** Why somebody is parked, until the bank is mended. */
export const NOT_MENDED = 'it is not mended yet';

/** A run of the bank. */
export interface BankRun {
  readonly seed: number;
  /** Processes that are killed one after another. */
  readonly deaths: number;
  readonly carrier: Carrier;
  /** Kills the server behind it all, and starts it again; once, in their midst. */
  readonly outage?: () => Promise<void>;
}

/**
 * A bank of three services, of which one after another is killed while it moves money in every way at once, and so is the server behind them; then it is calm, what is
 * parked is looked at, mended and let go on. What is wrong in the end.
 */
export async function liveThrough(arena: Arena, { seed, deaths, carrier, outage }: BankRun) {
  await openAccounts(arena);
  const fleet = new Fleet({ url: arena.url, lanes: 2, poolSize: 20, subscriptions: [], isBank: true, ...carrier });
  const draw = new Draw(seed);
  // All have their queues before anything is sent.
  for (const at of SERVICES.keys()) fleet.start(at);
  for (const at of SERVICES.keys()) {
    await fleet.settle(at);
    fleet.ask(at, draw.transfers(at, 'first'));
  }
  for (let death = 0; death < deaths; death += 1) {
    if (death === Math.floor(deaths / 2)) await outage?.();
    const at = draw.below(SERVICES.length);
    await fleet.settle(at);
    await pause(draw.below(LIFE_MS));
    const unfinished = await fleet.kill(at);
    fleet.start(at, draw.failpoint());
    fleet.ask(at, [...unfinished, ...draw.transfers(at, `after ${death}`)]);
  }
  await pause(LIFE_MS);
  for (const at of SERVICES.keys()) {
    const unfinished = await fleet.calm(at);
    fleet.ask(at, [...unfinished, ...lastOf(at)]);
  }
  const parked = await untilParked(arena);
  await arena.look('insert into mended values (now())');
  const faults = [...(await untilWhole(arena, fleet)), ...fleet.diedInTheCalm()];
  const killed = fleet.programs.filter(({ hasEnded }) => hasEnded).length;
  for (const program of fleet.processes) await program.stop();
  return { faults, parked, ends: await endsIn(arena, fleet.transfers), killed };
}

/** The processes of the bank, and what they were asked for. */
class Fleet implements Business {
  /** All there ever were. */
  readonly programs: Program[] = [];
  readonly processes: Program[] = [];
  readonly repeated = new Set<string>();
  /** When the last one was killed, or was found dead. */
  lastDeathMs = 0;
  private readonly asked = new Map<string, Transfer>();
  private readonly last: (readonly Transfer[])[] = [];
  private readonly mortal = new Set<number>();

  constructor(private readonly options: ProgramOptions) {}

  get transfers(): readonly Transfer[] {
    return [...this.asked.values()];
  }

  start(at: number, failpoint?: string): void {
    const program = new Program({ ...this.options, service: SERVICES[at] }, { failpoint });
    this.programs.push(program);
    this.processes[at] = program;
    if (failpoint === undefined) this.mortal.delete(at);
    else this.mortal.add(at);
  }

  /** Whoever would die yet does so now, and is started again until it is at work; what its client may ask for once more. */
  async calm(at: number): Promise<readonly Transfer[]> {
    let unfinished: readonly Transfer[] = [];
    for (let starts = 0; ; starts += 1) {
      await this.settle(at);
      if (!this.isMortal(at)) return unfinished;
      if (starts === MOST_STARTS) throw new Error(`${SERVICES[at]} does not start: ${this.processes[at]?.errors}`);
      unfinished = await this.kill(at);
      this.start(at);
    }
  }

  /** It has ended, by itself or because it could not start, or may yet. */
  private isMortal(at: number): boolean {
    return this.mortal.has(at) || this.processes[at]?.hasEnded === true;
  }

  /** Until it is at work, or has died on the way. */
  async settle(at: number): Promise<void> {
    const program = this.processes[at] as Program;
    await Promise.race([program.ready().catch(() => undefined), program.ended]);
  }

  /** Who should be at work, and is not: what it was asked for was never done, which leaves the books right. */
  diedInTheCalm(): readonly string[] {
    const dead = this.processes.filter(({ hasEnded }) => hasEnded);
    return dead.map(({ pid, errors }) => `process ${pid} has ended by itself: ${errors}`);
  }

  ask(at: number, batch: readonly Transfer[]): void {
    for (const transfer of batch) {
      if (this.asked.has(transfer.id)) this.repeated.add(transfer.id);
      this.asked.set(transfer.id, transfer);
    }
    this.last[at] = batch;
    this.processes[at]?.order({ transfer: batch });
  }

  /** What its client may ask for once more, because the second time changes nothing. */
  async kill(at: number): Promise<readonly Transfer[]> {
    await this.processes[at]?.kill();
    this.lastDeathMs = performance.now();
    const known = new Set(this.programs.flatMap((program) => program.said('acknowledged').map(({ id }) => id)));
    return (this.last[at] ?? []).filter(({ id, how }) => how !== 'try' && !known.has(id));
  }
}

/** What chance decides, from a seed. */
class Draw {
  private readonly random: Random;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  below(limit: number): number {
    return Math.floor(this.random.next() * limit);
  }

  private pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** Where the next process dies by itself; some do not. */
  failpoint(): string | undefined {
    return this.below(3) === 0 ? undefined : `${this.pick(PLACES)}=kill@${1 + this.below(6)}`;
  }

  /** What somebody wants of one service. */
  transfers(at: number, prefix: string): readonly Transfer[] {
    const service = SERVICES[at] as string;
    return Array.from({ length: BATCH }, (_, n) => {
      const how = this.pick(HOWS);
      const fate = this.pick(FATES);
      return {
        id: `${prefix} ${service} ${at}-${n}`,
        how,
        from: `${service}/${1 + this.below(3)}`,
        to: `${this.pick(SERVICES.filter((each) => each !== service))}/${1 + this.below(3)}`,
        amount: 2 + this.below(60),
        // One that is stuck would keep back all others that wait for its account.
        fate: how === 'queued saga' && fate === 'stuck' ? 'refused' : fate,
      };
    });
  }
}

/** One of each kind that goes well, and one that has to wait for a person. */
function lastOf(at: number): readonly Transfer[] {
  const [from, to] = [`${SERVICES[at]}/1`, `${SERVICES[at] === 'west' ? 'north' : 'west'}/2`];
  return HOWS.flatMap((how) =>
    (how === 'queued saga' ? (['well'] as const) : (['well', 'stuck'] as const)).map((fate) => ({
      id: `last ${at} ${how} ${fate}`,
      ...{ how, from, to, fate },
      amount: 2,
    })),
  );
}

/** Until something of each kind waits for a person because the bank is not mended; why all wait, without repeats. */
async function untilParked(arena: Arena): Promise<Readonly<Record<string, readonly string[]>>> {
  let parked = await parkedIn(arena);
  for (const until = performance.now() + PATIENCE_MS; performance.now() < until; await pause(200)) {
    parked = await parkedIn(arena);
    if (Object.values(parked).every((list) => list.some((why) => why.includes(NOT_MENDED)))) break;
  }
  return Object.fromEntries(Object.entries(parked).map(([kind, why]) => [kind, [...new Set(why)].sort()]));
}

/** Lets everything go on that is parked, until nothing is wrong any more; what still is. */
async function untilWhole(arena: Arena, fleet: Fleet): Promise<readonly string[]> {
  const faults = () => faultsOfBank(arena, fleet);
  for (const until = performance.now() + PATIENCE_MS; performance.now() < until && (await faults()).length > 0; await pause(1000))
    for (const program of fleet.processes) program.order({ goOn: true });
  // What would be one too many comes late.
  await pause(Math.max(1000, fleet.lastDeathMs + TAKEN_OVER_MS - performance.now()));
  return faults();
}
