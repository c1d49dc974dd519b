import type { Outlet } from '../bus/outlet-bus.js';
import type { Outgoing } from '../bus/outgoing.js';
import type { Delivery } from '../delivery/delivery.js';
import { ownSubscription, PATIENT } from '../delivery/own-subscription.js';
import type { Registration } from '../delivery/subscription-builder.js';
import { hfError } from '../errors/catalogue.js';
import type { Envelope } from '../message/envelope.js';
import { uuidv7 } from '../message/uuid.js';
import type { Receipt } from '../operations/operators.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { ReceiptStore } from './receipt.store.port.js';

/** The subscription that takes receipts from other services over the default transport; those over others have their names behind it. */
export const RECEIPTS_SUBSCRIPTION = 'holdfast.receipts';

/** What giving receipts needs. */
export interface ReceiptsContext {
  readonly service: string;
  readonly store: ReceiptStore;
  readonly clock: Clock;
  readonly random: Random;
  /** False for a transport over which every service that gets a message has the database of its publisher: the row is enough. */
  readonly isSentBack: (transport: string) => boolean;
}

/** What travels back to the publisher of a message in another database. */
interface ReceiptData {
  readonly id: string;
  readonly subscription: string;
  readonly service: string;
  readonly status: Receipt['status'];
}

const TYPE = 'holdfast.receipt.';

/** Type of the receipts for the messages of a service: each service subscribes to its own. */
function receiptTypeOf(service: string): string {
  return `${TYPE}${encodeURIComponent(service)}`;
}

/** True for a receipt on its way back. */
export function isReceipt({ type }: Pick<Envelope, 'type'>): boolean {
  return type.startsWith(TYPE);
}

/**
 * Gives receipts for messages whose publisher asked, in the transaction that deals with them: a row here, and where the publisher may have another
 * database a message to it. So what committed has its receipt, and what was rolled back has none.
 */
export class Receipts {
  constructor(
    private readonly context: ReceiptsContext,
    private readonly outlet: Outlet,
  ) {}

  /** Of several messages, receipts for those that asked. */
  async give(
    tx: Transaction,
    envelopes: readonly (Envelope | undefined)[],
    { subscription, transport, status }: { readonly subscription: string; readonly transport: string; readonly status: Receipt['status'] },
  ): Promise<void> {
    const asked = envelopes.filter((envelope): envelope is Envelope => envelope?.wantsReceipt === true);
    if (asked.length === 0) return;
    const { service, store, isSentBack } = this.context;
    await store.give(
      tx,
      asked.map(({ source, id }) => ({ message: { source, id }, subscription, service, status })),
    );
    if (!isSentBack(transport)) return;
    for (const envelope of asked) {
      if (envelope.source !== service)
        await this.outlet.accept({ ...this.sentBack(envelope, { id: envelope.id, subscription, service, status }), transport });
    }
  }

  private sentBack(about: Envelope, data: ReceiptData): Omit<Outgoing, 'transport'> {
    const { service, clock, random } = this.context;
    const envelope: Envelope = {
      id: uuidv7(clock, random),
      source: service,
      type: receiptTypeOf(about.source),
      version: 1,
      time: clock.now(),
      headers: NO_HEADERS,
      correlationId: about.correlationId,
      causationId: about.id,
      kind: 'event',
      contentType: 'application/json',
      body: Buffer.from(JSON.stringify(data)),
    };
    return { envelope, due: undefined, message: {}, options: {} };
  }
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze(Object.create(null));

/** The handler that takes the receipts of other services for the messages of this one, over one transport. */
export function receiptsRegistration(
  { service, transport }: { readonly service: string; readonly transport: string },
  store: ReceiptStore,
  currentTransaction: () => Transaction | undefined,
): Registration {
  const { types, name } = ownSubscription(RECEIPTS_SUBSCRIPTION, receiptTypeOf(service), transport);
  return {
    types,
    handler: async (message: never, delivery: Delivery) => {
      const tx = currentTransaction();
      if (tx === undefined) throw hfError('HF_INVARIANT', { fact: 'a receipt was taken outside any transaction' });
      const { id, subscription, status } = message as ReceiptData;
      await store.give(tx, [{ message: { source: service, id }, subscription, service: delivery.source, status }]);
    },
    policies: { name, transactional: true, retry: PATIENT },
  };
}
