import type { CallOfMessage } from '../../delivery/answering.js';
import type { PipelineContext } from '../../delivery/pipeline-context.js';
import type { Subscription } from '../../delivery/subscription.js';
import type { RememberedRequest, RequestGuardStore, RequestMemory } from '../../inbox/inbox.store.port.js';
import type { Envelope } from '../../message/envelope.js';
import { silentLogger } from '../../monitoring/logger.js';
import { isRefusedForGood } from '../../participant/definite-refusal.js';
import { RequestGuard } from '../../participant/request-guard.js';
import type { Refusal } from '../../reply/answer.js';
import type { Clock } from '../../time/clock.js';
import type { Transaction } from '../../unit-of-work/transaction.port.js';
import type { Wire } from './broker.spec.js';
import type { SimulatedTransaction } from './database.spec.js';

export interface Answer {
  readonly value?: unknown;
  readonly refusal?: Refusal;
}

/** What is remembered of a request, by its id; with the answer, where that is given again. */
interface RequestRow {
  readonly status: Extract<RequestMemory, 'done' | 'cancelled' | 'compensated'>;
  readonly answer?: Answer;
}

const REQUESTS = 'request';
/** Longer than anything here lasts. */
const TTL_MS = 86_400_000;
const SPEC = { id: 1, name: 'move', types: ['bank.move'] };

/** The handlers of requests, and of what undoes them, as far as the guard looks at them. */
const STEP = { spec: SPEC, idempotency: { ttlMs: TTL_MS }, isUndoable: true, undoes: undefined } as unknown as Subscription;
const UNDOING = {
  spec: { ...SPEC, name: 'move back' },
  undoes: { ...SPEC, ttlMs: TTL_MS, keepMs: TTL_MS, rule: { subscriptionId: SPEC.id } },
} as unknown as Subscription;

/** Requests as rows: what each method means is what the statements for PostgreSQL mean. */
class SimulatedRequests implements RequestGuardStore {
  guard(tx: Transaction, { key: { id } }: RememberedRequest): Promise<RequestMemory> {
    const sql = tx as SimulatedTransaction;
    return sql.statement(async () => {
      await sql.lock(REQUESTS, id);
      const row = sql.get<RequestRow>(REQUESTS, id);
      if (row === undefined) sql.put(REQUESTS, id, { status: 'cancelled' } satisfies RequestRow);
      return row?.status ?? 'none';
    });
  }

  cancel(tx: Transaction, { key: { id } }: Pick<RememberedRequest, 'key'>): Promise<void> {
    return this.write(tx, id, { status: 'cancelled' });
  }

  undo(tx: Transaction, { key: { id } }: RememberedRequest): Promise<void> {
    return this.write(tx, id, { status: 'compensated' });
  }

  write(tx: Transaction, id: string, row: RequestRow): Promise<void> {
    const sql = tx as SimulatedTransaction;
    return sql.statement(() => sql.put(REQUESTS, id, row));
  }
}

/** What a process remembers of requests, and the guard of production over it. */
export class RequestDesk {
  private readonly requests = new SimulatedRequests();
  private readonly guard: RequestGuard;

  constructor(private readonly clock: Clock) {
    const context = { clock, logger: silentLogger, store: { inbox: this.requests, deliveries: { withdraw: async () => [] } } };
    this.guard = new RequestGuard(context as unknown as PipelineContext, UNDOING);
  }

  /** What is known of a request, which nobody else looks at until the transaction ends. */
  recall(sql: SimulatedTransaction, id: string): Promise<RequestRow | undefined> {
    return sql.statement(async () => {
      await sql.lock(REQUESTS, id);
      return sql.get<RequestRow>(REQUESTS, id);
    });
  }

  /** It is handled, and this is the answer to repeats. */
  keep(sql: SimulatedTransaction, id: string, answer: Answer): Promise<void> {
    return this.requests.write(sql, id, { status: 'done', answer });
  }

  /** Whether there is anything to undo; if not, there never will be. */
  async isToBeUndone(sql: SimulatedTransaction, wire: Wire): Promise<boolean> {
    const message = { envelope: this.envelopeOf(wire), incoming: {}, data: wire.body };
    const { calls } = await this.guard.admit(sql, [{ message, call: { facts: () => ({}) } } as unknown as CallOfMessage], true);
    return calls.length > 0;
  }

  /** Whether a request that was refused left nothing behind, and never will. */
  isRefusedForGood(sql: SimulatedTransaction, wire: Wire, error: unknown): Promise<boolean> {
    return isRefusedForGood(this.requests, sql, { subscription: STEP, envelope: this.envelopeOf(wire), error });
  }

  private envelopeOf({ id, sagaId, compensates, hasRun }: Wire): Envelope {
    return { id, source: 'bank', sagaId, replyTo: 'bank', compensates, hasRun, time: this.clock.now() } as Envelope;
  }
}
