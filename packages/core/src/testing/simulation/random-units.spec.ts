import type { RetryOptions } from '../../delivery/policies.js';
import { defineTry, runnableTry, type TryDefinition } from '../../try-confirm-cancel/try-definition.js';
import type { Effect } from './accounts.spec.js';
import { ACCOUNTS } from './random-sagas.spec.js';
import type { World } from './world.spec.js';

/** Where money is held that a try has taken. */
export const HELD = 'held';

/** Money that a try moves, of one unit of work. */
export interface HeldMove {
  readonly unit: string;
  /** Which of its tries. */
  readonly place: number;
  readonly from: string;
  readonly to: string;
  readonly amount: number;
}

/** A unit of work that calls tries, as it was drawn. */
export interface DrawnUnit {
  readonly id: string;
  readonly moves: readonly HeldMove[];
  readonly timeoutMs: number;
  /** How long it takes over it. */
  readonly pauseMs: number;
  /** When everything is done it throws. */
  readonly isRefused: boolean;
}

export function drawUnit(world: World, id: string): DrawnUnit {
  const moves = Array.from({ length: world.pick([1, 1, 2]) }, (_, place): HeldMove => {
    const from = world.pick(ACCOUNTS);
    const to = world.pick(ACCOUNTS.filter((each) => each !== from));
    return { unit: id, place, from, to, amount: world.between(1, 40) };
  });
  return { id, moves, timeoutMs: world.between(1000, 6000), pauseMs: world.pick([0, 0, 0, 2000]), isRefused: world.random.next() < 0.2 };
}

/** What is written down when a unit has called its tries. */
export function placedBy(unit: string): Effect {
  return { saga: unit, step: 'placed', what: 'do', moves: [], isLimited: false };
}

/** What a process does for a try. */
export type DoEffect = (effect: Effect, attempt: number) => Promise<void>;

/** What a try is given. */
export interface HoldingLimits {
  readonly timeout: number;
  readonly retry: RetryOptions;
}

export function drawLimits(world: World): HoldingLimits {
  return { timeout: world.pick([300, 1500, 6000]), retry: { attempts: world.between(2, 4), backoff: { delay: world.between(20, 400) } } };
}

/** Takes money out of an account and holds it, and gives it to another one, or back: to be called, and as it is registered. */
export function holdingTry({ timeout, retry }: HoldingLimits, effect: DoEffect) {
  const hold = (move: HeldMove) => effect(partOf(move, 'hold'), 1);
  const definition = defineTry('bank.hold', hold, {
    timeout,
    confirm: (move: HeldMove, { attempt }) => effect(partOf(move, 'give'), attempt),
    cancel: (move: HeldMove) => effect(partOf(move, 'back'), 1),
    confirmRetry: retry,
    cancelRetry: retry,
  });
  const problem = (text: string) => {
    throw new Error(text);
  };
  return { hold, runnable: runnableTry(definition as TryDefinition<never>, problem, ['bank-db']) };
}

function partOf({ unit: saga, place, from, to, amount }: HeldMove, part: 'hold' | 'give' | 'back'): Effect {
  const out = (account: string) => ({ account, amount: -amount });
  const into = (account: string) => ({ account, amount });
  if (part === 'hold') return { saga, step: `hold ${place}`, what: 'do', moves: [out(from), into(HELD)], isLimited: true };
  if (part === 'back') return { saga, step: `hold ${place}`, what: 'undo', moves: [out(HELD), into(from)], isLimited: false };
  return { saga, step: `give ${place}`, what: 'do', moves: [out(HELD), into(to)], isLimited: false };
}
