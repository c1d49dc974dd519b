import type { CallOfMessage } from '../../delivery/answering.js';
import type { HandlingContext } from '../../delivery/handling-context.js';
import type { Subscription } from '../../delivery/subscription.js';
import { hfError } from '../../errors/catalogue.js';
import type {
  ClaimEnd,
  ClaimTerm,
  InboxClaim,
  InboxStore,
  Recalled,
  RememberedRequest,
  RequestGuardStore,
  RequestMemory,
} from '../../inbox/inbox.store.port.js';
import type { Envelope } from '../../message/envelope.js';
import { silentLogger } from '../../monitoring/logger.js';
import { limitsFrom } from '../../message/limits.js';
import { refuseRequest } from '../../participant/refused-request.js';
import { RequestGuard } from '../../participant/request-guard.js';
import type { Refusal } from '../../reply/answer.js';
import type { Clock } from '../../time/clock.js';
import type { Transaction } from '../../unit-of-work/transaction.port.js';
import type { Wire } from './broker.spec.js';
import type { Client, SimulatedDatabase, SimulatedTransaction } from './database.spec.js';

export interface Answer {
  readonly value?: unknown;
  readonly refusal?: Refusal;
}

/** What is remembered of a request, by its subscription and id; with the answer, where that is given again. */
interface RequestRow {
  readonly status: 'done' | 'claimed' | 'cancelled' | 'compensated';
  readonly answer?: Answer;
  /** The answer of a handler outside transactions, as production keeps it. */
  readonly result?: string | undefined;
  /** Of a claim, and of an undoing that has begun. */
  readonly token?: string;
  readonly untilMs?: number;
}

const REQUESTS = 'request';
/** Longer than anything here lasts. */
const TTL_MS = 86_400_000;
const SPEC = { id: 1, name: 'move', types: ['bank.move'] };
/** Of what is done outside transactions: shorter than a server is away, so that claims end under their handlers. */
const LOCK_TTL_MS = 1500;

const IDEMPOTENCY = { ttlMs: TTL_MS, lockTtlMs: LOCK_TTL_MS };

/** The handlers of requests, and of what undoes them, as far as anybody here looks at them. */
export const STEP = {
  spec: SPEC,
  idempotency: IDEMPOTENCY,
  isUndoable: true,
  undoes: undefined,
  limits: limitsFrom(),
} as unknown as Subscription;
export const UNDOING = {
  spec: { ...SPEC, id: 2, name: 'move back' },
  idempotency: IDEMPOTENCY,
  undoes: { ...SPEC, ttlMs: TTL_MS, keepMs: TTL_MS, rule: { subscriptionId: SPEC.id } },
} as unknown as Subscription;

/** Requests as rows: what each method means is what the statements for PostgreSQL mean. */
export class SimulatedRequests implements RequestGuardStore, Pick<InboxStore, 'claim' | 'renew' | 'finish' | 'recall'> {
  constructor(
    private readonly db: SimulatedDatabase,
    private readonly client: Client,
  ) {}

  guard(tx: Transaction, request: RememberedRequest): Promise<RequestMemory> {
    return this.inRow(tx as SimulatedTransaction, request, (row, put) => {
      if (row === undefined) put({ status: 'cancelled' });
      if (row?.status === 'claimed') return this.isLeft(row) ? 'begun' : 'claimed';
      return row?.token === undefined ? (row?.status ?? 'none') : 'undoing';
    });
  }

  cancel(tx: Transaction, request: Where): Promise<void> {
    return this.write(tx, request, { status: 'cancelled' });
  }

  undo(tx: Transaction, { isDone, ...request }: RememberedRequest & { readonly isDone: boolean }): Promise<void> {
    return this.write(tx, request, isDone ? { status: 'compensated' } : { status: 'compensated', token: this.token() });
  }

  refuse(tx: Transaction, { result, ...request }: RememberedRequest & { readonly result: string }): Promise<void> {
    return this.write(tx, request, { status: 'cancelled', result, answer: JSON.parse(result) as Answer });
  }

  claim({ leaseMs, ...where }: Where & { readonly leaseMs: number }): Promise<InboxClaim> {
    return this.alone(where, (row, put): InboxClaim => {
      if (row?.status === 'done') return { state: 'done', result: row.result };
      if (row !== undefined && row.status !== 'claimed') return { state: 'undone', result: row.result };
      if (row !== undefined && !this.isLeft(row)) return { state: 'held', forMs: (row.untilMs as number) - this.db.nowMs };
      const token = this.token();
      put({ status: 'claimed', token, untilMs: this.db.nowMs + leaseMs });
      return { state: 'claimed', token };
    });
  }

  renew({ leaseMs, ...claim }: ClaimTerm): Promise<void> {
    return this.alone(claim, (row, put) => put({ ...held(row, claim), untilMs: this.db.nowMs + leaseMs }));
  }

  finish({ done, isBegun, ...claim }: ClaimEnd, tx?: Transaction): Promise<void> {
    const finish: InRow<void> = (row, put) => {
      const ours = held(row, claim);
      if (done !== undefined) put({ status: 'done', result: done.result });
      else put(isBegun ? { ...ours, untilMs: this.db.nowMs } : undefined);
    };
    return tx === undefined ? this.alone(claim, finish) : this.inRow(tx as SimulatedTransaction, claim, finish);
  }

  recall(tx: Transaction, where: Where): Promise<Recalled> {
    return this.inRow(tx as SimulatedTransaction, where, (row) => ({
      isDone: row?.status === 'done',
      isUndone: row?.status === 'cancelled' || row?.status === 'compensated',
      result: row?.result,
    }));
  }

  write(tx: Transaction, where: Where, row: RequestRow): Promise<void> {
    return this.inRow(tx as SimulatedTransaction, where, (_, put) => put(row));
  }

  private isLeft({ untilMs = 0 }: RequestRow): boolean {
    return untilMs <= this.db.nowMs;
  }

  private token(): string {
    return String(this.db.next());
  }

  private alone<T>(where: Where, work: InRow<T>): Promise<T> {
    return this.db.alone(this.client, (sql) => lockedRow(sql, where, work));
  }

  private inRow<T>(sql: SimulatedTransaction, where: Where, work: InRow<T>): Promise<T> {
    return sql.statement(() => lockedRow(sql, where, work));
  }
}

type Where = Pick<ClaimTerm, 'subscriptionId' | 'key'>;
type InRow<T> = (row: RequestRow | undefined, put: (row: RequestRow | undefined) => void) => T;

/** One statement about one row. */
async function lockedRow<T>(sql: SimulatedTransaction, { subscriptionId, key: { id } }: Where, work: InRow<T>): Promise<T> {
  const place = `${subscriptionId} ${id}`;
  await sql.lock(REQUESTS, place);
  return work(sql.get<RequestRow>(REQUESTS, place), (row) => sql.put(REQUESTS, place, row));
}

function held(row: RequestRow | undefined, { token, key }: Pick<ClaimTerm, 'token' | 'key'>): RequestRow {
  if (row?.status === 'claimed' && row.token === token) return row;
  throw hfError('HF_LEASE_LOST', { resource: `the claim of ${key.id}` });
}

/** What a process remembers of requests, and the guard of production over it. */
export class RequestDesk {
  private readonly guard: RequestGuard;

  constructor(
    private readonly clock: Clock,
    readonly requests: SimulatedRequests,
  ) {
    const context = { clock, logger: silentLogger, store: { inbox: this.requests, deliveries: { withdraw: async () => [] } } };
    this.guard = new RequestGuard(context as unknown as HandlingContext, UNDOING);
  }

  /** What is known of a request, which nobody else looks at until the transaction ends. */
  recall(sql: SimulatedTransaction, id: string): Promise<RequestRow | undefined> {
    return sql.statement(() => lockedRow(sql, requestAt(id), (row) => row));
  }

  /** It is handled, and this is the answer to repeats. */
  keep(sql: SimulatedTransaction, id: string, answer: Answer): Promise<void> {
    return this.requests.write(sql, requestAt(id), { status: 'done', answer });
  }

  /** Whether there is anything to undo; if not, there never will be. */
  async isToBeUndone(sql: SimulatedTransaction, wire: Wire): Promise<boolean> {
    const message = { envelope: this.envelopeOf(wire), incoming: {}, data: wire.body };
    const { calls } = await this.guard.admit(sql, [{ message, call: { facts: () => ({}) } } as unknown as CallOfMessage], true);
    return calls.length > 0;
  }

  /** What a request that was refused is answered with, now and when it comes again. */
  async refuse(sql: SimulatedTransaction, wire: Wire, error: unknown): Promise<Answer> {
    return (await refuseRequest(this.requests, sql, { subscription: STEP, envelope: this.envelopeOf(wire), error })) as Answer;
  }

  envelopeOf({ id, type, sagaId, compensates, hasRun }: Wire): Envelope {
    const about = { id, source: 'bank', type, version: 1, headers: {}, correlationId: id, time: this.clock.now() };
    return { ...about, kind: 'command', sagaId, replyTo: 'bank', compensates, hasRun } as Envelope;
  }
}

function requestAt(id: string): Where {
  return { subscriptionId: SPEC.id, key: { source: 'bank', id } };
}
