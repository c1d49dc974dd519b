import { hfError } from '../errors/catalogue.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { refuseStream } from './returned-stream.js';
import type { Scope, ScopeStorage } from './scope.js';
import type { Savepoint } from './transaction.port.js';

/**
 * Runs `work` as a nested part of the unit, behind a savepoint of its own. When it fails, its rows, messages and hooks are undone and the unit
 * can go on; its `afterRollback` hooks run when the unit has ended, because until then it holds its locks.
 *
 * Siblings under `Promise.all` take turns, and statements of the part around wait until this one is done.
 */
export async function runNested<Outgoing, T>(storage: ScopeStorage<Outgoing>, parent: Scope<Outgoing>, work: () => Promise<T>): Promise<T> {
  const child = parent.part();
  // What the framework does in the part around must not get behind the savepoint.
  while (!parent.isActive() || parent.isInHand) await (parent.isInHand ? parent.settled() : parent.unit.turn());
  parent.unit.activate(child); // in one step with the look: nobody else may enter in between
  return runPart({ storage, child, savepoint: () => parent.transaction.savepoint() }, work);
}

/** The same behind a savepoint that is there already; `parent` has the turn. */
export function runBehind<Outgoing, T>(
  {
    storage,
    parent,
    savepoint,
  }: { readonly storage: ScopeStorage<Outgoing>; readonly parent: Scope<Outgoing>; readonly savepoint: Savepoint },
  work: () => Promise<T>,
): Promise<T> {
  const child = parent.part();
  parent.unit.activate(child);
  return runPart({ storage, child, savepoint: async () => savepoint }, work);
}

interface Part<Outgoing> {
  readonly storage: ScopeStorage<Outgoing>;
  readonly child: Scope<Outgoing>;
  readonly savepoint: () => Promise<Savepoint>;
}

async function runPart<Outgoing, T>({ storage, child, savepoint }: Part<Outgoing>, work: () => Promise<T>): Promise<T> {
  try {
    child.savepoint = await savepoint();
    child.assertLive();
    const value = await storage.with(child.dataSource, child, work);
    refuseStream(value);
    await keep(child);
    return value;
  } catch (error) {
    await undo(child, error);
    throw error;
  }
}

/** Undoes the parts inside `scope` that nobody waited for; they are told HF_UOW_ENDED. */
export async function undoOpenParts<Outgoing>(scope: Scope<Outgoing>): Promise<void> {
  const open = partBelow(scope, scope.unit.active);
  if (open) await undoPart(open, hfError('HF_UOW_ENDED', {}));
}

async function keep<Outgoing>(child: Scope<Outgoing>): Promise<void> {
  while (child.isInHand) await child.settled();
  child.assertLive();
  child.end();
  await undoOpenParts(child);
  if (child.doomedBy) throw child.doomedBy;
  const savepoint = takeSavepoint(child);
  if (!savepoint) throw hfError('HF_UOW_ENDED', {}); // undone with the unit while we waited
  await release(child, savepoint);
  leave(child);
}

/** A part that swallowed an error of the database cannot be kept; it is undone like one that failed, and the unit can go on. */
async function release<Outgoing>(child: Scope<Outgoing>, savepoint: Savepoint): Promise<void> {
  try {
    await savepoint.release();
  } catch (error) {
    // When the unit has ended meanwhile, nothing of ours may come between it and its COMMIT, which the database refuses.
    if (child.parent?.ending) throw error;
    const refusal = isHoldfastError(error)
      ? error
      : hfError('HF_UOW_ROLLBACK_ONLY', { reason: 'a statement in it had failed' }, { cause: error });
    await rollBackTo(child, savepoint, refusal);
    throw refusal;
  }
}

async function undo<Outgoing>(child: Scope<Outgoing>, error: unknown): Promise<void> {
  // When the unit has ended meanwhile, its commit or rollback deals with this part.
  if (child.parent?.ending) child.end();
  else await undoPart(child, error);
  leave(child);
}

async function undoPart<Outgoing>(part: Scope<Outgoing>, error: unknown): Promise<void> {
  part.end();
  const { active } = part.unit;
  if (active.isInHand) await active.settled();
  // Without a savepoint there is nothing to undo: it was never made, or whoever is releasing it sees to it.
  const savepoint = takeSavepoint(part);
  if (savepoint) await rollBackTo(part, savepoint, error);
}

async function rollBackTo<Outgoing>(part: Scope<Outgoing>, savepoint: Savepoint, error: unknown): Promise<void> {
  part.undoneBy = { error };
  try {
    await savepoint.rollback();
  } catch (failure) {
    part.parent?.doom('a nested part of it could not be undone', failure);
  }
}

/** The savepoint, for whoever ends it: exactly one does. */
function takeSavepoint<Outgoing>(scope: Scope<Outgoing>): Savepoint | undefined {
  const { savepoint } = scope;
  scope.savepoint = undefined;
  return savepoint;
}

/** Gives the turn back to the part around, unless somebody has taken it already. */
function leave<Outgoing>(child: Scope<Outgoing>): void {
  if (child.parent && isAround(child, child.unit.active)) child.unit.activate(child.parent);
}

function isAround<Outgoing>(scope: Scope<Outgoing>, inner: Scope<Outgoing>): boolean {
  for (let each: Scope<Outgoing> | undefined = inner; each; each = each.parent) if (each === scope) return true;
  return false;
}

function partBelow<Outgoing>(scope: Scope<Outgoing>, inner: Scope<Outgoing>): Scope<Outgoing> | undefined {
  for (let each: Scope<Outgoing> | undefined = inner; each; each = each.parent) if (each.parent === scope) return each;
  return undefined;
}
