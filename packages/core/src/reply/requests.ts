import type { Outgoing } from '../bus/outgoing.js';
import { hfError } from '../errors/catalogue.js';
import { envelopeFrom } from '../message/attributes.js';
import type { Envelope } from '../message/envelope.js';
import type { MessageLimits } from '../message/limits.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import type { Clock } from '../time/clock.js';
import type { Scheduler, Timer } from '../time/scheduler.js';
import type { ReceivedReply } from './received-reply.js';
import { replyValue } from './answer.js';

/** What waiting for replies needs. */
export interface RequestsContext {
  readonly service: string;
  readonly limits: MessageLimits;
  /** Requests that may wait at once. */
  readonly limit: number;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  /** True inside a unit of work. */
  readonly isInUnit: () => boolean;
}

/** How long a request waits, and how it is made and sent. */
export interface RequestTerms {
  /** CloudEvents type of the command. */
  readonly type: string;
  /** Name of the transport that carries it, and its reply. */
  readonly transport: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Makes the message, with the address for its reply. */
  readonly make: (replyTo: string) => Promise<Outgoing>;
  /** Leaves it with the outlet. */
  readonly leave: (message: Outgoing) => Promise<void>;
}

/** How a request ended, for events. */
type Outcome = 'replied' | 'rejected' | 'timed-out' | 'given-up';

/** Where the replies over one transport come. */
interface ReplyPlace {
  readonly connect: (moved: (address: string) => void) => Promise<string>;
  address: Promise<string> | undefined;
}

/** One caller who waits. */
interface Waiting {
  readonly type: string;
  readonly startedMs: number;
  id: string;
  key: string | undefined;
  isSent: boolean;
  end(outcome: Outcome, settle: () => void): void;
  settle(value: unknown): void;
  fail(error: unknown): void;
}

/**
 * The asking end of requests: who in this process waits for which reply. In memory only, because a caller's promise is too: after a restart nobody waits,
 * and the replies that still come are dropped. The requests themselves are messages like any other, and outlive this process.
 */
export class Requests {
  private readonly open = new Set<Waiting>();
  private readonly byId = new Map<string, Set<Waiting>>();
  /** By transport. */
  private readonly places = new Map<string, ReplyPlace>();
  private isStopping = false;

  constructor(private readonly context: RequestsContext) {}

  /** How many wait. */
  get count(): number {
    return this.open.size;
  }

  /** True while one of them is on its way out: from then on others have it in hand. */
  get isSending(): boolean {
    return [...this.open].some(({ isSent }) => !isSent);
  }

  /** Requests may be made over a transport from now on. `connect` makes the place for replies to this process and gives its address, and tells of another one that takes its place; called with the first request, and again while it fails. Called again, requests from then on name another place. */
  start(transport: string, connect: ReplyPlace['connect']): void {
    this.places.set(transport, { connect, address: undefined });
  }

  /** Ends all that wait, and those to come: nothing is received any more. */
  stop(): void {
    this.isStopping = true;
    for (const waiting of [...this.open]) waiting.end('given-up', () => waiting.fail(this.stopping(waiting.type)));
  }

  /**
   * Sends a command and waits for its reply.
   *
   * @throws HF_REQUEST_IN_TRANSACTION, HF_REQUEST_LIMIT, HF_NOT_STARTED, HF_STOPPING at once; HF_REQUEST_TIMEOUT, HF_REQUEST_REJECTED,
   * HF_REPLY_UNSENDABLE, HF_REPLY_UNREADABLE, the signal's reason, and whatever making or sending it throws
   */
  async ask(terms: RequestTerms): Promise<unknown> {
    const { type, transport, signal } = terms;
    // The reply needs the commit of the request, which would wait for the reply.
    if (this.context.isInUnit()) throw hfError('HF_REQUEST_IN_TRANSACTION', { type });
    if (this.isStopping) throw this.stopping(type);
    if (!this.places.has(transport)) throw hfError('HF_NOT_STARTED', { call: 'bus.request()' });
    if (this.open.size >= this.context.limit) throw hfError('HF_REQUEST_LIMIT', { type, limit: this.context.limit });
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const waiting = this.wait(terms, resolve, reject);
      this.send(waiting, terms).catch((error: unknown) => waiting.end('given-up', () => reject(error)));
    });
  }

  /** A reply has come. Never throws. */
  receive({ attributes, body }: ReceivedReply): void {
    const { limits, logger } = this.context;
    let reply: Envelope;
    try {
      reply = envelopeFrom(attributes, body, { limits });
    } catch (error) {
      emit('reply:dropped', { id: undefined, source: undefined, reason: 'unreadable' });
      logger.warn('a reply cannot be read, and is dropped', { error });
      return;
    }
    const { causationId: id, source } = reply;
    const waiting = id === undefined ? undefined : this.byId.get(id);
    if (waiting === undefined) emit('reply:dropped', () => ({ id, source, reason: 'nobody-waits' as const }));
    else for (const one of [...waiting]) this.deliver(reply, one);
  }

  private deliver(reply: Envelope, waiting: Waiting): void {
    try {
      const value = replyValue(reply, waiting, this.context.limits);
      waiting.end('replied', () => waiting.settle(value));
    } catch (error) {
      waiting.end('rejected', () => waiting.fail(error));
    }
  }

  private wait({ type, timeoutMs, signal }: RequestTerms, settle: (value: unknown) => void, fail: (error: unknown) => void): Waiting {
    const { clock, scheduler, service } = this.context;
    let timer: Timer | undefined;
    const aborted = () => waiting.end('given-up', () => fail(signal?.reason));
    const waiting: Waiting = {
      type,
      startedMs: clock.monotonicMs(),
      id: '',
      key: undefined,
      isSent: false,
      settle,
      fail,
      end: (outcome, end) => {
        if (!this.open.delete(waiting)) return;
        timer?.cancel();
        signal?.removeEventListener('abort', aborted);
        this.forget(waiting);
        const durationMs = clock.monotonicMs() - waiting.startedMs;
        emit('request:ended', () => ({ id: waiting.id, source: service, type, key: waiting.key, outcome, durationMs }));
        end();
      },
    };
    this.open.add(waiting);
    const late = () => waiting.end('timed-out', () => fail(hfError('HF_REQUEST_TIMEOUT', { type, id: waiting.id, timeoutMs })));
    timer = scheduler.after(timeoutMs, late, { keepsProcessAlive: true });
    signal?.addEventListener('abort', aborted, { once: true });
    return waiting;
  }

  private async send(waiting: Waiting, { transport, make, leave }: RequestTerms): Promise<void> {
    const made = await make(await this.replyAddress(transport));
    waiting.id = made.envelope.id;
    waiting.key = made.envelope.key;
    // It has taken too long already, or nobody wants it any more: then nobody shall act on it either.
    if (!this.open.has(waiting)) return;
    const same = this.byId.get(waiting.id) ?? new Set();
    this.byId.set(waiting.id, same.add(waiting));
    await leave(made);
    waiting.isSent = true;
  }

  private replyAddress(transport: string): Promise<string> {
    const place = this.places.get(transport) as ReplyPlace;
    const moved = (address: string) => {
      place.address = Promise.resolve(address);
    };
    place.address ??= place.connect(moved).catch((error: unknown) => {
      place.address = undefined;
      throw error;
    });
    return place.address;
  }

  private forget(waiting: Waiting): void {
    const same = this.byId.get(waiting.id);
    same?.delete(waiting);
    if (same?.size === 0) this.byId.delete(waiting.id);
  }

  private stopping(type: string): Error {
    return hfError('HF_STOPPING', { activity: `a request of ${type}` });
  }
}
