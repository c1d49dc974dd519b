import { hfError } from '../errors/catalogue.js';
import { isDroppedPromise } from '../errors/dropped-promise.js';
import { unstorable } from '../message/storable.js';
import type { Random } from '../time/random.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { begin } from './decide.js';
import type { RunnableSaga } from './saga-plan.js';
import type { SagaProgress } from './saga-progress.js';
import type { NewSaga, SagaArrivalStore, SagaStartStore, WantedLock } from './saga.store.port.js';

/** Characters of a business key. */
const KEY_LENGTH = 255;

/** An instance that has begun, or was there before. */
export interface BegunSaga {
  readonly isStarted: boolean;
  /** Name of the saga that has its id. */
  readonly saga: string | undefined;
  readonly progress: SagaProgress;
  /** Takes its place behind others with its key; to be called late in the transaction, because the end of whoever has the key waits for it from then on. */
  readonly queue: ((tx: Transaction) => Promise<void>) | undefined;
}

/** An instance that is to begin. */
export interface BeginningSaga extends Pick<NewSaga, 'id' | 'state' | 'isTaken' | 'parent'> {
  readonly runnable: RunnableSaga;
}

/**
 * Starts an instance in a transaction, with its business key if it has one. Gives the name of the saga that has its id: when it was there before,
 * nothing was written.
 *
 * @throws HF_SAGA_LOCKED where it does not wait for its key
 */
export async function startSaga(
  { store, random }: { readonly store: SagaStartStore & Pick<SagaArrivalStore, 'tell'>; readonly random: Random },
  tx: Transaction,
  { runnable, ...begun }: BeginningSaga,
): Promise<BegunSaga> {
  const { definition, outline } = runnable;
  const { name: saga, version, timeoutMs } = definition;
  const state = JSON.parse(begun.state) as object;
  const decision = begin(definition, { id: begun.id, state, random });
  // What ends as it begins holds nothing.
  const lock = decision.progress.status === 'running' ? await lockOf(store, tx, { runnable, id: begun.id, state }) : undefined;
  const progress: SagaProgress = { ...decision.progress, lock };
  // Whoever hands on the key tells no other process of it: one that waits for it is anybody's.
  const isTaken = begun.isTaken && lock?.isHeld !== false;
  const found = await store.start(tx, { ...begun, isTaken, saga, version, outline, timeoutMs, progress, notes: decision.notes });
  // It was there under another key, by a start that was not to be seen yet.
  if (!found.isStarted && lock?.isHeld === true) await store.dropKey(tx, { key: lock.key, id: begun.id });
  const waits = found.isStarted && lock?.isHeld === false;
  return { ...found, progress, queue: waits ? (late) => queue(store, late, { key: lock.key, id: begun.id }) : undefined };
}

async function lockOf(
  store: SagaStartStore,
  tx: Transaction,
  { runnable: { definition, lock }, id, state }: { readonly runnable: RunnableSaga; readonly id: string; readonly state: object },
): Promise<SagaProgress['lock']> {
  if (lock === undefined) return undefined;
  const { name: saga } = definition;
  const key: unknown = lock.keyOf(state as never);
  const reason = isDroppedPromise(key) ? 'it is a promise: the key must be there at once' : unstorable(key, KEY_LENGTH);
  if (reason !== undefined) throw hfError('HF_SAGA_LOCK_KEY', { saga, id, reason, limit: KEY_LENGTH });
  const wanted = { key: key as string, id };
  const holder = await store.claimKey(tx, wanted);
  if (holder !== undefined && holder !== id && lock.whenLocked === 'refuse')
    throw hfError('HF_SAGA_LOCKED', { saga, id, key: wanted.key, holder });
  // Where one of its id is there it does not begin; should that one be deleted meanwhile, it takes its place as all others do.
  return { key: wanted.key, isHeld: holder === id };
}

/** Whoever had the key may have ended meanwhile. */
async function queue(store: SagaStartStore & Pick<SagaArrivalStore, 'tell'>, tx: Transaction, wanted: WantedLock): Promise<void> {
  if (await store.queueForKey(tx, wanted)) await store.tell(tx, [{ id: wanted.id, event: { kind: 'unlocked' } }]);
}
