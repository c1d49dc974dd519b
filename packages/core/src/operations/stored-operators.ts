import { hfError } from '../errors/catalogue.js';
import { emit } from '../monitoring/events.js';
import type { Store } from '../store/store.port.js';
import {
  type DeadLetter,
  type DeadLetterChoice,
  type DeadLetterFilter,
  DeadLetters,
  type OperatorAction,
  Outbox,
  type Page,
  type Paged,
  type ParkedChoice,
  type ParkedFilter,
  type ParkedMessage,
  type Receipt,
  type SubscriptionInfo,
  Subscriptions,
} from './operators.js';

/** Dead letters of this service in a store. */
export class StoredDeadLetters extends DeadLetters {
  constructor(
    private readonly store: Store,
    private readonly changed: () => void,
  ) {
    super();
  }

  list(filter: DeadLetterFilter & Page = {}): Promise<Paged<DeadLetter>> {
    return this.store.deadLetters.list(filter);
  }

  groups(
    filter: DeadLetterFilter = {},
  ): Promise<readonly { readonly group: string; readonly count: number; readonly sample: DeadLetter }[]> {
    return this.store.deadLetters.groups(filter);
  }

  get(id: string): Promise<DeadLetter | undefined> {
    return this.store.deadLetters.get(id);
  }

  async redrive(which: DeadLetterChoice, action: OperatorAction): Promise<{ readonly count: number }> {
    assertAction('redrive', action);
    assertChoice(which);
    const count = await this.store.deadLetters.redrive(which, action);
    if (count === 0 && typeof which === 'string') throw hfError('HF_DEAD_LETTER_UNKNOWN', { id: which });
    this.changed();
    return { count };
  }

  async discard(which: DeadLetterChoice, action: OperatorAction & { reason: string }): Promise<{ readonly count: number }> {
    assertAction('discard', action);
    if (!action.reason) throw hfError('HF_OPERATOR_REASON', { action: 'discard', field: 'reason' });
    assertChoice(which);
    const count = await this.store.deadLetters.discard(which, action);
    if (count === 0 && typeof which === 'string') throw hfError('HF_DEAD_LETTER_UNKNOWN', { id: which });
    this.changed();
    return { count };
  }
}

/** Subscriptions of this service in a store. */
export class StoredSubscriptions extends Subscriptions {
  constructor(
    private readonly store: Store,
    private readonly changed: () => void,
  ) {
    super();
  }

  list(): Promise<readonly SubscriptionInfo[]> {
    return this.store.subscriptions.list();
  }

  async pause(name: string, action: OperatorAction): Promise<void> {
    await this.set(name, 'paused', action);
    emit('subscription:paused', { subscription: name, reason: 'operator', forMs: undefined });
  }

  async resume(name: string, action: OperatorAction): Promise<void> {
    await this.set(name, 'active', action);
    emit('subscription:resumed', { subscription: name });
  }

  retire(name: string, action: OperatorAction): Promise<void> {
    return this.set(name, 'retired', action);
  }

  private async set(name: string, state: 'active' | 'paused' | 'retired', action: OperatorAction): Promise<void> {
    assertAction({ active: 'resume', paused: 'pause', retired: 'retire' }[state], action);
    if (!(await this.store.subscriptions.setState(name, state, action))) throw hfError('HF_SUBSCRIPTION_UNKNOWN', { name });
    this.changed();
  }
}

/** The outbox in a store. */
export class StoredOutbox extends Outbox {
  constructor(
    private readonly store: Store,
    private readonly changed: () => void,
  ) {
    super();
  }

  stats(): ReturnType<Outbox['stats']> {
    return this.store.log.stats();
  }

  async receipts(id: string): Promise<readonly Receipt[]> {
    return (await this.store.receipts.find(id)).given;
  }

  async isConsumed(id: string): Promise<boolean> {
    const { given, expected } = await this.store.receipts.find(id);
    return expected.length === 0 && given.length > 0 && given.every(({ status }) => status === 'consumed');
  }

  parked(filter: ParkedFilter & Page = {}): Promise<Paged<ParkedMessage>> {
    return this.store.parked.list(filter);
  }

  async resume(which: ParkedChoice, action: OperatorAction): Promise<{ readonly count: number }> {
    assertAction('resume', action);
    assertChoice(which);
    return this.counted(which, await this.store.parked.resume(which, action));
  }

  async discard(which: ParkedChoice, action: OperatorAction & { reason: string }): Promise<{ readonly count: number }> {
    assertAction('discard', action);
    if (!action.reason) throw hfError('HF_OPERATOR_REASON', { action: 'discard', field: 'reason' });
    assertChoice(which);
    return this.counted(which, await this.store.parked.discard(which, action));
  }

  async discardTransport(transport: string, action: OperatorAction & { reason: string }): Promise<{ readonly count: number }> {
    assertAction('discard', action);
    if (!action.reason) throw hfError('HF_OPERATOR_REASON', { action: 'discard', field: 'reason' });
    return { count: await this.store.log.discard(transport, action) };
  }

  private counted(which: ParkedChoice, count: number): { readonly count: number } {
    if (count === 0 && typeof which === 'string') throw hfError('HF_PARKED_UNKNOWN', { id: which });
    this.changed();
    return { count };
  }
}

function assertAction(action: string, { by }: OperatorAction): void {
  if (!by) throw hfError('HF_OPERATOR_REASON', { action, field: 'by' });
}

function assertChoice(which: DeadLetterChoice | ParkedChoice): void {
  const isEmpty = typeof which !== 'string' && Object.values(which).every((value) => value === undefined);
  if (isEmpty) throw hfError('HF_OPERATOR_FILTER', {});
}
