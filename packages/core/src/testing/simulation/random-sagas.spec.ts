import { Command, Message } from '../../message/message.js';
import { defineSaga, type SagaBuilder } from '../../saga/saga-builder.js';
import type { SagaContext } from '../../saga/saga-context.js';
import type { StepResult } from '../../saga/saga.decorators.js';
import type { Effect } from './accounts.spec.js';
import type { MoveMoney } from './participant.spec.js';
import type { World } from './world.spec.js';

/** The state of every saga here. */
export interface BankState extends Record<string, unknown> {
  /** What conditions look at. */
  readonly flag: boolean;
}

/** A step as it was drawn. */
export interface DrawnStep {
  readonly name: string;
  readonly kind: 'local' | 'remote' | 'sleep' | 'wait' | 'first' | 'child';
  readonly after: readonly string[];
  readonly isUndoable: boolean;
  readonly isPivot: boolean;
  /** Only where the flag of the state says so. */
  readonly isConditional: boolean;
  /** The service that has the account, for `remote`. */
  readonly service: string;
  readonly isForeign: boolean;
  /** It asks once, and goes on when it gets no reply; for `remote`. */
  readonly isImpatient: boolean;
  readonly moves: Effect['moves'];
  readonly isLimited: boolean;
  readonly isBeforePivot: boolean;
  readonly waitMs: number;
}

export interface DrawnSaga {
  readonly builder: SagaBuilder<BankState>;
  readonly steps: readonly DrawnStep[];
}

/** What steps do, in the process that runs them. */
export interface StepWork {
  local(effect: Effect, attempt: number): Promise<void>;
  /** Something goes wrong before a step that does nothing by itself. */
  trouble(effect: Pick<Effect, 'saga' | 'step' | 'what'>, attempt: number): Promise<void>;
  /** A step does not ask again. */
  goesOn(saga: string, step: string): void;
  /** A message with this key is wanted. */
  wanted(key: string): void;
}

export const SERVICES = ['north', 'south', 'west'] as const;
export const ACCOUNTS = ['a', 'b', 'c'] as const;

/** Asks a service to move money. */
export class MoveCommand extends Command<string> {
  constructor(readonly move: MoveMoney) {
    super();
  }
}
Message('bank.move')(MoveCommand);

/** What some steps wait for. */
export class Approved {
  readonly by = 'somebody';
}
Message('bank.approved')(Approved);

/** The other sagas of its bank, which some of its steps start. */
export function drawSaga(world: World, name: string, parts: { readonly work: () => StepWork; readonly child?: DrawnSaga }): DrawnSaga {
  const steps = balanced(world, drawSteps(world, parts.child !== undefined));
  const timeout = parts.child !== undefined && world.random.next() < 0.2 ? world.between(3000, 20_000) : undefined;
  const builder = defineSaga<BankState>(name, { version: 1, timeout, signals: [Approved] });
  for (const step of steps) {
    const common = {
      after: step.after,
      timeout: world.between(1000, 4000),
      retry: { attempts: world.between(2, 4), backoff: { delay: world.between(20, 400) } },
      ...(step.isConditional ? { when: ({ flag }: BankState) => flag } : {}),
    };
    const run = (saga: SagaContext<BankState>) => runStep(step, saga, parts);
    const undo = { compensate: (saga: SagaContext<BankState>) => undoStep(step, saga, parts), compensateRetry: common.retry };
    builder.step(step.name, run, step.isPivot ? { ...common, pivot: true } : step.isUndoable ? { ...common, ...undo } : common);
  }
  return { builder, steps };
}

function drawSteps(world: World, hasChild: boolean): DrawnStep[] {
  const stages = world.between(2, 5);
  const pivotAt = world.random.next() < 0.35 ? world.between(1, stages - 1) : undefined;
  const steps: DrawnStep[] = [];
  let before: string[] = [];
  for (let stage = 0; stage < stages; stage += 1) {
    const isPivot = stage === pivotAt;
    const width = isPivot ? 1 : world.pick([1, 1, 1, 2, 3]);
    const isBack = pivotAt === undefined || stage < pivotAt;
    const names = Array.from({ length: width }, (_, at) => `s${stage}${'xyz'[at]}`);
    for (const name of names) {
      const kind = world.pick([
        'local',
        'local',
        'remote',
        'remote',
        'remote',
        'sleep',
        'wait',
        'first',
        hasChild ? 'child' : 'local',
      ] as const);
      const moves = isMoving({ kind });
      const after = pivotAt === undefined && before.length > 1 && world.random.next() < 0.3 ? [world.pick(before)] : before;
      steps.push({
        name,
        kind: isPivot && !moves && kind !== 'child' ? 'remote' : kind,
        after,
        isPivot,
        // What waits does something here first, where it can be undone: behind the pivot a person may have it begun again.
        isUndoable: isBack && world.random.next() < (moves ? 0.85 : 0.6),
        isConditional: !isPivot && world.random.next() < 0.255,
        service: world.pick(SERVICES),
        ...drawAsking(world, isPivot),
        moves: [],
        // What a parent waits for behind its pivot has to succeed some day.
        isLimited: isBack && hasChild,
        isBeforePivot: isBack && !isPivot,
        waitMs: world.pick([200, 1000, 3000, 15_000]),
      });
    }
    before = names;
  }
  return steps;
}

function drawAsking(world: World, isPivot: boolean): Pick<DrawnStep, 'isForeign' | 'isImpatient'> {
  const isForeign = world.random.next() < 0.12;
  return { isForeign, isImpatient: !isForeign && !isPivot && world.random.next() < 0.25 };
}

/** Gives the steps money to move, so that a saga that is completed, or undone, has moved none in all. */
function balanced(world: World, steps: readonly DrawnStep[]): readonly DrawnStep[] {
  const carriers = steps.filter(
    (step) => !step.isConditional && !isMaybe(step) && (step.isUndoable || (isMoving(step) && !step.isBeforePivot)),
  );
  const debits = carriers.filter(({ isBeforePivot }) => isBeforePivot);
  const credits = carriers.filter((step) => step !== debits[0]);
  const amounts = new Map(credits.map((step) => [step.name, world.between(1, 30)]));
  const [first] = debits;
  if (first !== undefined) amounts.set(first.name, -[...amounts.values()].reduce((sum, amount) => sum + amount, 0));
  return steps.map((step) => {
    const [one, other] = world.random.next() < 0.5 ? [ACCOUNTS[0], ACCOUNTS[1]] : [ACCOUNTS[1], ACCOUNTS[2]];
    const amount = first === undefined ? 0 : (amounts.get(step.name) ?? 0);
    const move = { account: one, amount };
    // Two accounts, in any order: somebody else may lock them the other way round.
    const also = { account: other, amount: 0 };
    const moves = step.kind === 'remote' ? [move] : world.random.next() < 0.5 ? [move, also] : [also, move];
    return isMoving(step) || step.isUndoable ? { ...step, moves } : step;
  });
}

/** Where all of a step is a move of money. */
export function isMoving({ kind }: Pick<DrawnStep, 'kind'>): boolean {
  return kind === 'local' || kind === 'remote';
}

/** Where nobody knows whether it moves money when its saga goes on. */
export function isMaybe({ kind, isImpatient }: Pick<DrawnStep, 'kind' | 'isImpatient'>): boolean {
  return kind === 'remote' && isImpatient;
}

type Parts = Parameters<typeof drawSaga>[2];

/** What a step of a saga does, or what undoes it. */
export function effectOf({ name, moves, isLimited }: DrawnStep, saga: string, what: Effect['what']): Effect {
  if (what === 'do') return { saga, step: name, what, moves, isLimited };
  return { saga, step: name, what, moves: moves.map(({ account, amount }) => ({ account, amount: -amount })), isLimited: false };
}

async function runStep(step: DrawnStep, saga: SagaContext<BankState>, { work, child }: Parts): Promise<Awaited<StepResult>> {
  const here = work();
  const effect = effectOf(step, saga.id, 'do');
  const key = `${saga.id}/${step.name}`;
  const timeout = step.waitMs;
  if (step.kind === 'local') return here.local(effect, saga.attempt);
  if (step.kind === 'remote') {
    const asked = `asked by ${step.name}`;
    if (step.isImpatient && saga.state[asked] === true) return here.goesOn(saga.id, step.name);
    Object.assign(saga.state, { [asked]: true });
    const move: MoveMoney = { to: step.service, effect, isForeign: step.isForeign };
    return saga.request(new MoveCommand(move), { into: `reply of ${step.name}` as never, foreign: step.isForeign });
  }
  await (step.isUndoable ? here.local(effect, saga.attempt) : here.trouble(effect, saga.attempt));
  if (step.kind === 'sleep') return saga.sleep(timeout);
  if (step.kind === 'child') return saga.start((child as DrawnSaga).builder, { flag: saga.state.flag });
  here.wanted(key);
  const approval = saga.waitFor(Approved, { key, timeout });
  return step.kind === 'wait' ? approval : saga.firstOf(approval, saga.sleep(Math.max(1, timeout / 2)));
}

async function undoStep(step: DrawnStep, saga: SagaContext<BankState>, { work }: Parts): Promise<Awaited<StepResult>> {
  const effect = effectOf(step, saga.id, 'undo');
  if (step.kind !== 'remote') return work().local(effect, saga.attempt);
  return saga.request(new MoveCommand({ to: step.service, effect, isForeign: step.isForeign }));
}
