import { hfError } from '../errors/catalogue.js';
import { assertHalfMessage, isOfFramework } from '../half-message/half-message-rules.js';
import { attributesOf } from '../message/attributes.js';
import { emit } from '../monitoring/events.js';
import type { LogStore } from '../outbox/log.store.port.js';
import { isStoredAddress } from '../reply/stored-replies.js';
import type { ReplyStore, StoredReply } from '../reply/reply.store.port.js';
import type { Hint } from '../store/store.port.js';
import type { ExpectedReceipts, ReceiptStore } from '../receipt/receipt.store.port.js';
import type { WrittenOutgoing } from '../unit-of-work/engine-parts.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { routeText } from '../transport/route.js';
import type { UnitEngine } from '../unit-of-work/unit-engine.js';
import type { Outlet } from './outlet-bus.js';
import { logRowOf, type Outgoing } from './outgoing.js';
import type { OutsideTransaction } from './outside-transaction.js';

/** With a store: messages wait in the unit in scope and are written with its commit; outside, each gets a unit of its own. */
export class OutboxOutlet implements Outlet {
  constructor(
    private readonly units: UnitEngine<Outgoing>,
    private readonly dataSource: string,
    private readonly outside: OutsideTransaction,
  ) {}

  accept(message: Outgoing): Promise<void> | undefined {
    const unit = this.units.current();
    if (unit === undefined) {
      this.outside.check(message.envelope.type);
      return this.units.run(async () => this.units.current()?.outgoing(message));
    }
    // Its rows would not commit with the message's.
    if (unit.dataSource !== this.dataSource) throw hfError('HF_UOW_DATA_SOURCE', { dataSource: unit.dataSource, known: [this.dataSource] });
    if (unit.protocol === 'half-message' && !isOfFramework(message)) assertHalfMessage(message);
    unit.outgoing(message);
    return undefined;
  }
}

/** Where the messages of a unit are written. */
export interface OutgoingStores {
  readonly log: LogStore;
  readonly receipts: ReceiptStore;
  /** Where replies go to those who look for them there; others are in the log as all messages. */
  readonly replies: ReplyStore;
  /** Whether no broker carries those of a transport. */
  readonly isEveryReplyStored: (transport: string) => boolean;
}

/** What a unit wrote, for whoever reads it. */
export interface Written extends Hint {
  readonly lanes: readonly number[];
  readonly hasScheduled: boolean;
}

/** Writes the messages of a unit, into the log at last; what comes back tells the others once the commit is known. */
export async function writeOutgoing(
  { log, receipts, replies, isEveryReplyStored }: OutgoingStores,
  tx: Transaction,
  { messages, committed }: { readonly messages: readonly Outgoing[]; readonly committed: (written: Written) => void },
): Promise<WrittenOutgoing> {
  const isStored = ({ envelope: { kind, destination }, transport }: Outgoing) =>
    kind === 'reply' && (isEveryReplyStored(transport) || isStoredAddress(destination));
  const stored = messages.filter(isStored);
  if (stored.length > 0) await replies.put(tx, stored.map(storedReplyOf));
  const asking = messages.filter(({ envelope }) => envelope.wantsReceipt);
  if (asking.length > 0) await receipts.expect(tx, asking.map(expectedOf));
  const rows = (stored.length === 0 ? messages : messages.filter((message) => !isStored(message))).map(logRowOf);
  const lanes = rows.length > 0 ? [...new Set(await log.append(tx, rows))] : [];
  emit('outbox:written', () => ({ dataSource: tx.dataSource, count: messages.length, lanes }));
  return { committed: () => committed({ lanes, hasScheduled: rows.some(({ due }) => due !== undefined), hasReplies: stored.length > 0 }) };
}

function storedReplyOf({ envelope }: Outgoing): StoredReply {
  return { address: envelope.destination as string, attributes: attributesOf(envelope), body: envelope.body };
}

function expectedOf({ envelope: { id, type: own, time, destination }, transport, due }: Outgoing): ExpectedReceipts {
  const type = routeText({ transport, address: destination }, own);
  if (due === undefined) return { id, type, delayMs: 0 };
  return { id, type, delayMs: 'at' in due ? Math.max(0, due.at.getTime() - time.getTime()) : due.delayMs };
}
