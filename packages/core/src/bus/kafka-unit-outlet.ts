import { hfError } from '../errors/catalogue.js';
import type { KafkaUnits } from '../unit-of-work/kafka-unit.js';
import type { Outlet } from './outlet-bus.js';
import type { Outgoing } from './outgoing.js';
import type { OutsideTransaction } from './outside-transaction.js';

/** Nothing but that one cluster has a part in it. */
const PROVIDER = "a Kafka transaction (protocol: 'kafka'), in which no database and no other transport has a part";

/** Messages that are published inside a Kafka transaction are gathered for its commit; all others go where they went. */
export class KafkaUnitOutlet implements Outlet {
  /** @param outside notices a write to a database, which the transaction does not undo; undefined without a store */
  constructor(
    private readonly units: KafkaUnits<Outgoing>,
    private readonly next: Outlet,
    private readonly outside: OutsideTransaction | undefined,
  ) {}

  accept(message: Outgoing): Promise<void> | undefined {
    const unit = this.units.current;
    if (unit === undefined) return this.next.accept(message);
    unit.assertLive();
    const { envelope, due, transport } = message;
    if (transport !== unit.transport)
      throw hfError('HF_CAPABILITY_UNSUPPORTED', { feature: `publishing over the transport ${transport}`, provider: PROVIDER });
    if (due !== undefined) throw hfError('HF_CAPABILITY_UNSUPPORTED', { feature: 'publishing with delay or at', provider: PROVIDER });
    if (envelope.wantsReceipt) throw hfError('HF_CAPABILITY_UNSUPPORTED', { feature: 'receipt: true', provider: PROVIDER });
    this.outside?.check(envelope.type);
    unit.messages.push(message);
    return undefined;
  }
}
