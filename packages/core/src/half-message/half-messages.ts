import type { Outgoing } from '../bus/outgoing.js';
import { attributesOf } from '../message/envelope.js';
import { uuidv7 } from '../message/uuid.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import { failpoint } from '../testing/failpoints.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { Transport } from '../transport/transport.port.js';
import type { WrittenOutgoing } from '../unit-of-work/engine-parts.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { HalfMessageStore } from './half-message.store.port.js';
import { CHECK_BACK_AFTER_MS, HalfMessageSender, type SentHalfMessage } from './half-message-sender.js';

/** Between two questions about a unit whose transaction is still open. */
const CHECK_AGAIN_MS = 5000;
/** Units asked about at a time. */
const CHECK_BATCH = 100;

/** What half messages work with. */
export interface HalfMessagesParts {
  readonly store: HalfMessageStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Messages whose unit is committed. */
  readonly told: (messages: readonly Outgoing[]) => void;
  /** Messages were moved into these lanes of the log. */
  readonly logged: (lanes: readonly number[]) => void;
}

/**
 * Messages of units with `protocol: 'half-message'`: registered before the commit, decided by it, and sent after it without having been in the log. What
 * a dead process left behind is asked about by any other one.
 */
export class HalfMessages {
  /** By the name of its transport: none waits for another's broker. */
  private readonly senders = new Map<string, HalfMessageSender>();
  private isStopped = false;

  constructor(private readonly parts: HalfMessagesParts) {}

  /** From now on messages for the transport of this name go over it at once; until then, and after `stop`, they go into the log. */
  sendOver(name: string, transport: Transport): void {
    if (!this.isStopped) this.senderOf(name).sendOver(transport);
  }

  /** Resolves when nothing is on its way any more; what is committed from now on goes into the log. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all([...this.senders.values()].map((sender) => sender.stop()));
  }

  get isBusy(): boolean {
    return [...this.senders.values()].some(({ isBusy }) => isBusy);
  }

  /** Registers the messages of a unit, and has its COMMIT decide. */
  async register(tx: Transaction, messages: readonly Outgoing[]): Promise<WrittenOutgoing> {
    const { store, clock, random, told } = this.parts;
    const unitId = uuidv7(clock, random);
    const sinceMs = clock.monotonicMs();
    const sent: SentHalfMessage[] = messages.map(({ envelope, transport }, ordinal) => ({ unitId, ordinal, transport, envelope, sinceMs }));
    const server = await store.register(
      sent.map(({ ordinal, transport, envelope }) => ({
        unitId,
        ordinal,
        transport,
        type: envelope.type,
        attributes: attributesOf(envelope),
        body: envelope.body,
      })),
      CHECK_BACK_AFTER_MS,
    );
    emit('unit:registered', () => ({ unit: unitId, count: messages.length }));
    failpoint('half-message:after-register');
    await store.commitWith(tx, { unitId, server });
    return {
      committed: () => {
        told(messages);
        for (const [name, own] of byTransport(sent)) this.senderOf(name).send(own);
      },
      rolledBack: () => {
        for (const [name, own] of byTransport(sent)) this.senderOf(name).drop(own);
      },
    };
  }

  /** Asks about what has waited too long; true when there may be more. */
  async checkBack(): Promise<boolean> {
    const { units, lanes } = await this.parts.store.checkBack({ limit: CHECK_BATCH, againMs: CHECK_AGAIN_MS });
    for (const { unitId, outcome, messages } of units) emit('unit:checked-back', () => ({ unit: unitId, outcome, count: messages }));
    if (lanes.length > 0) this.parts.logged(lanes);
    return units.length === CHECK_BATCH;
  }

  private senderOf(name: string): HalfMessageSender {
    const known = this.senders.get(name);
    if (known !== undefined) return known;
    const sender = new HalfMessageSender(this.parts);
    this.senders.set(name, sender);
    return sender;
  }
}

function byTransport(messages: readonly SentHalfMessage[]): ReadonlyMap<string, readonly SentHalfMessage[]> {
  const names = new Set(messages.map(({ transport }) => transport));
  return new Map([...names].map((name) => [name, messages.filter(({ transport }) => transport === name)]));
}
