import type { Outgoing } from '../bus/outgoing.js';
import { hfError } from '../errors/catalogue.js';
import type { HalfMessages } from './half-messages.js';
import type { WrittenOutgoing } from '../unit-of-work/engine-parts.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { isReceipt } from '../receipt/receipts.js';
import { isSagaReply } from '../saga/saga-messages.js';

/** True for what the framework itself says in a handler's unit, whatever its protocol: a reply or a receipt is written as ever. */
export function isOfFramework({ envelope }: Outgoing): boolean {
  return envelope.kind === 'reply' || isReceipt(envelope) || isSagaReply(envelope);
}

/**
 * Refuses what half messages do not keep: they are sent as soon as their unit has committed, in no order, and are not written down anywhere else.
 *
 * @throws HF_HALF_MESSAGE_OPTION
 */
export function assertHalfMessage({ envelope: { key, wantsReceipt }, due }: Outgoing): void {
  const feature =
    key !== undefined
      ? 'An ordering key (key)'
      : due !== undefined
        ? 'A time (delay or at)'
        : wantsReceipt
          ? 'Asking for receipts (receipt: true)'
          : undefined;
  if (feature !== undefined) throw hfError('HF_HALF_MESSAGE_OPTION', { feature });
}

/** Writes what a unit with half messages leaves behind: its messages into the register, and what the framework said in it where that always goes. */
export async function writeHalfMessages(
  halfMessages: HalfMessages,
  tx: Transaction,
  {
    messages,
    intoOutbox,
  }: {
    readonly messages: readonly Outgoing[];
    readonly intoOutbox: (tx: Transaction, messages: readonly Outgoing[]) => Promise<WrittenOutgoing>;
  },
): Promise<WrittenOutgoing> {
  const own = messages.filter((message) => !isOfFramework(message));
  const others = messages.filter(isOfFramework);
  const written = others.length > 0 ? await intoOutbox(tx, others) : undefined;
  const registered = own.length > 0 ? await halfMessages.register(tx, own) : undefined;
  return {
    committed: () => {
      registered?.committed();
      written?.committed();
    },
    rolledBack: () => registered?.rolledBack?.(),
  };
}
