import { hfError } from '../errors/catalogue.js';
import { describeFailure } from '../errors/describe-failure.js';
import type { OperatorAction, Page, Paged } from '../operations/operators.js';
import type { SagaArrival } from './saga-event.js';
import { nextMs, parkingOf, type SagaParking, type SagaProgress } from './saga-progress.js';
import {
  assertForward,
  assertNamed,
  assertParked,
  cancelledError,
  isForward,
  purgeSaga,
  REPAIRED,
  saidBy,
  type SagaRepair,
} from './saga-repairs.js';
import type { SagaChange, SagaOperationStore, StoredSaga } from './saga.store.port.js';
import type { SagaFilter, SagaHistoryEntry, SagaInstance } from './sagas.js';

/** A word that was left for a saga. */
export interface SagaWord {
  /** Of the saga. */
  readonly id: string;
  /** What it is about: it is for nothing else. Undefined for one that wants the saga undone, wherever it stands. */
  readonly about: SagaParking | undefined;
  /** The line of the history that tells that it was done, at this step. */
  readonly line: (step: string | undefined) => Pick<SagaHistoryEntry, 'event' | 'detail'>;
  /** The lines that were there before. */
  readonly known: readonly SagaHistoryEntry[];
}

/** What has become of a word: it waits for a process that looks, it was dropped because the saga stands otherwise by now, or somebody has acted on it. */
export type SagaWordEnd = 'waits' | 'dropped' | SagaWordActedOn;

/** A word on which somebody has acted. */
export interface SagaWordActedOn {
  readonly saga: SagaInstance;
  /** What has happened from then on. */
  readonly since: readonly SagaHistoryEntry[];
  /** The line that tells why it was refused; undefined: it was done. */
  readonly refusal: SagaHistoryEntry | undefined;
}

/**
 * Sagas of a service for a tool that has none of their definitions. What a repair leads to is decided by the definition, so it is left for a process
 * that has it, which finds it when it looks next, within a second or so; the history tells when that was.
 */
export class SagaOperator {
  constructor(private readonly store: SagaOperationStore) {}

  /** One page of sagas, the last started first. */
  list(filter: SagaFilter & Page = {}): Promise<Paged<SagaInstance>> {
    return this.store.list(filter);
  }

  /** One saga with its history; undefined when there is none. */
  get(id: string): Promise<SagaInstance | undefined> {
    return this.store.find(id);
  }

  /**
   * Leaves word that a parked saga is to go on, or that one on its way forward is to be undone, and writes down who wants it. A saga that is past its pivot by
   * then, or no longer parked as it was, is left as it is; of several words about the same the last counts.
   *
   * @throws HF_SAGA_UNKNOWN, HF_SAGA_NOT_PARKED, HF_SAGA_NOT_RUNNING, HF_SAGA_IN_WORK
   */
  async ask(what: SagaRepair | 'cancel', id: string, action: OperatorAction): Promise<SagaWord> {
    const { by, reason = 'no reason given' } = action;
    assertNamed(what, by);
    const { history: known } = await this.found(id);
    let about: SagaParking | undefined;
    const isThere = await this.store.operate(id, { ...action, name: what }, (saga) => {
      const { progress } = saga;
      if (what === 'cancel') {
        assertForward(id, progress);
        return told(saga, { kind: 'cancelled', by, reason });
      }
      assertParked(id, what, progress);
      about = parkingOf(progress);
      return told(saga, { kind: REPAIRED[what], by, reason: action.reason, about });
    });
    if (!isThere) throw hfError('HF_SAGA_UNKNOWN', { id });
    if (what !== 'cancel') return { id, about, line: () => ({ event: REPAIRED[what], detail: saidBy(action) }), known };
    const detailAt = (step: string | undefined) => describeFailure(cancelledError(id, { by, reason, step })).message;
    return { id, about, line: (step) => ({ event: 'turned-back', detail: detailAt(step) }), known };
  }

  /** What has become of a word by now. Another one that says the same about the same, from the same person, counts as this one. @throws HF_SAGA_UNKNOWN */
  async becameOf(word: SagaWord): Promise<SagaWordEnd> {
    // In this order: what moves the saga on is one commit with its line, so where it has moved the line is there to be read.
    const at = await this.store.look(word.id);
    const saga = await this.found(word.id);
    const news = linesSince(word.known, saga.history);
    const place = news.findIndex((line) => isLineOf(word, line));
    const since = news.slice(place);
    if (place >= 0) return { saga, since, refusal: refusalIn(since) };
    return at === undefined || isMoot(word, at.progress) ? 'dropped' : 'waits';
  }

  /** Deletes a saga that is completed or compensated, with its history. @throws HF_SAGA_UNKNOWN, HF_SAGA_NOT_ENDED */
  async purge(id: string, action: OperatorAction): Promise<void> {
    assertNamed('purge', action.by);
    await purgeSaga(this.store, id, action);
  }

  private async found(id: string): Promise<SagaInstance> {
    const saga = await this.store.find(id);
    if (saga === undefined) throw hfError('HF_SAGA_UNKNOWN', { id });
    return saga;
  }
}

/** Lines behind those that were known. They are told apart by their time: of a long history some in the middle are gone. */
function linesSince(known: readonly SagaHistoryEntry[], history: readonly SagaHistoryEntry[]): readonly SagaHistoryEntry[] {
  const lastMs = known.at(-1)?.at.getTime() ?? 0;
  const fromLast = (lines: readonly SagaHistoryEntry[]) => lines.filter(({ at }) => at.getTime() >= lastMs);
  return fromLast(history).slice(fromLast(known).length);
}

/** A skip that is refused parks for its own step again, and nothing comes between the two lines. */
function refusalIn([said, next]: readonly SagaHistoryEntry[]): SagaHistoryEntry | undefined {
  return said?.event === 'skipped' && next?.event === 'parked' && next.step === said.step ? next : undefined;
}

function isLineOf({ line, about }: SagaWord, { event, detail, step }: SagaHistoryEntry): boolean {
  const told = line(step);
  return event === told.event && detail === told.detail && (about === undefined || about.step === step);
}

/** Whether a saga stands otherwise than a word has it: then nobody will act on it any more. */
function isMoot({ about }: SagaWord, progress: SagaProgress): boolean {
  if (about === undefined) return !isForward(progress);
  const { step, sinceMs } = parkingOf(progress);
  return progress.status !== 'parked' || step !== about.step || sinceMs !== about.sinceMs;
}

/** The saga as it was, with something that has come for it. */
function told({ id, progress, nowMs }: StoredSaga, event: SagaArrival): SagaChange {
  const next = nextMs(progress);
  return {
    id,
    progress,
    state: undefined,
    notes: [],
    afterMs: next === undefined ? undefined : Math.max(0, next - nowMs),
    isTaken: false,
    reach: { seen: [], awaits: [], awaitsNoMore: [], tells: [{ id, event }] },
  };
}
