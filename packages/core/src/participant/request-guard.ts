import type { CallOfMessage } from '../delivery/answering.js';
import type { ReadableMessage } from '../delivery/opened-message.js';
import type { HandlingContext } from '../delivery/handling-context.js';
import type { Subscription } from '../delivery/subscription.js';
import { hfError } from '../errors/catalogue.js';
import type { RememberedRequest } from '../inbox/inbox.store.port.js';
import { failpoint } from '../testing/failpoints.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { FRAMEWORK_UNIT } from '../unit-of-work/framework-unit.js';
import { decideUndo, requestAgeMsOf } from './undo-rules.js';
import { sagaOf, type UndoneStep } from './undone-step.js';

/** Which calls are to be made. */
export interface Guarded {
  readonly calls: readonly CallOfMessage[];
  /** Those that have nothing to undo. */
  readonly needless: readonly CallOfMessage[];
  /** Ordering keys of requests whose stored deliveries are gone, for `free`. */
  readonly keys: readonly string[];
}

/**
 * Keeps requests that are undone from running later, and what undoes them from running for nothing. Does nothing for handlers that undo none.
 *
 * **Guarantee:** with the commit of the transaction it is given, the request has run and is undone, or never ran and never will: also when the process dies.
 */
export class RequestGuard {
  constructor(
    private readonly context: Pick<HandlingContext, 'store' | 'clock' | 'runUnit' | 'logger' | 'onStored'>,
    private readonly subscription: Pick<Subscription, 'undoes' | 'spec'>,
  ) {}

  /**
   * Looks at the requests that the calls undo.
   *
   * @param isDone whether what undoes them commits with `tx`; else `finish` says so later
   * @throws HF_IDEMPOTENT_IN_PROGRESS while one is in work, HF_COMPENSATION_EXPIRED when nobody can tell whether it ran
   */
  async admit(tx: Transaction, calls: readonly CallOfMessage[], isDone: boolean): Promise<Guarded> {
    const { undoes } = this.subscription;
    const undoing = undoes === undefined ? [] : calls.filter(({ message }) => message.envelope.compensates !== undefined);
    if (undoes === undefined || undoing.length === 0) return { calls, needless: [], keys: [] };
    const needless = new Set<CallOfMessage>();
    const keys: string[] = [];
    // In one order for everybody, as the inbox has it.
    for (const one of [...undoing].sort((a, b) => (requestOf(a) < requestOf(b) ? -1 : 1))) {
      const request = requestIn(undoes, one.message);
      if (await this.isToBeUndone(tx, one.message, undoes)) await this.context.store.inbox.undo(tx, { ...request, isDone });
      else needless.add(one);
      keys.push(...(await this.context.store.deliveries.withdraw(tx, { subscriptionId: request.subscriptionId, ...request.key })));
    }
    failpoint('guard:after-write');
    return { calls: calls.filter((call) => !needless.has(call)), needless: [...needless], keys };
  }

  /** What undoes a request is done, and committed with `tx`. */
  async finish(tx: Transaction, message: ReadableMessage): Promise<void> {
    const { undoes } = this.subscription;
    if (undoes === undefined || message.envelope.compensates === undefined) return;
    await this.context.store.inbox.undo(tx, { ...requestIn(undoes, message), isDone: true });
  }

  /** Gives on the turn of keys, once what `admit` did is committed. Should the process die before, others find what waits. */
  async free(keys: readonly string[]): Promise<void> {
    const { undoes } = this.subscription;
    if (undoes === undefined || keys.length === 0) return;
    const { runUnit, store, logger, onStored } = this.context;
    const free = (tx: Transaction) => store.deliveries.free(tx, { ...undoes.rule, keys });
    await runUnit(FRAMEWORK_UNIT, free).catch((error: unknown) =>
      logger.warn('what waits behind a request that was undone could not be let go; it is looked for again', {
        subscription: undoes.name,
        error,
      }),
    );
    onStored();
  }

  private async isToBeUndone(tx: Transaction, message: ReadableMessage, undoes: UndoneStep): Promise<boolean> {
    const { envelope, incoming } = message;
    const request = requestIn(undoes, message);
    const memory = await this.context.store.inbox.guard(tx, request);
    const mayBeForgotten = requestAgeMsOf(message, this.context.clock) > undoes.ttlMs;
    const isKnownToHaveRun = envelope.hasRun === true || (mayBeForgotten && incoming.hasConsent);
    switch (decideUndo({ memory, isKnownToHaveRun, mayBeForgotten })) {
      case 'undo':
        return true;
      case 'needless':
        return false;
      case 'wait':
        throw hfError('HF_IDEMPOTENT_IN_PROGRESS', { key: request.key.id });
      case 'unknown': {
        const { name: subscription } = this.subscription.spec;
        const { name: step, ttlMs } = undoes;
        throw hfError('HF_COMPENSATION_EXPIRED', { subscription, request: request.key.id, sagaId: sagaOf(envelope), step, ttlMs });
      }
    }
  }
}

function requestOf({ message: { envelope } }: CallOfMessage): string {
  return `${envelope.source}\0${envelope.compensates}`;
}

function requestIn({ rule, keepMs }: UndoneStep, { envelope: { source, compensates = '' } }: ReadableMessage): RememberedRequest {
  return { subscriptionId: rule.subscriptionId, key: { source, id: compensates }, keepMs };
}
