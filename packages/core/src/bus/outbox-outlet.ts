import { hfError } from '../errors/catalogue.js';
import { emit } from '../monitoring/events.js';
import type { LogStore } from '../outbox/log.store.port.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
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

  async accept(message: Outgoing): Promise<void> {
    const unit = this.units.current();
    if (unit === undefined) {
      this.outside.check(message.envelope.type);
      await this.units.run(async () => this.units.current()?.outgoing(message));
      return;
    }
    // Its rows would not commit with the message's.
    if (unit.dataSource !== this.dataSource) throw hfError('HF_UOW_DATA_SOURCE', { dataSource: unit.dataSource, known: [this.dataSource] });
    unit.outgoing(message);
  }
}

/** Writes the messages of a unit into the log; what comes back tells the others once the commit is known. */
export async function writeOutgoing(
  log: LogStore,
  tx: Transaction,
  {
    messages,
    committed,
  }: { readonly messages: readonly Outgoing[]; readonly committed: (lanes: readonly number[], hasScheduled: boolean) => void },
): Promise<() => void> {
  const rows = messages.map(logRowOf);
  const lanes = [...new Set(await log.append(tx, rows))];
  emit('outbox:written', () => ({ dataSource: tx.dataSource, count: rows.length, lanes }));
  return () =>
    committed(
      lanes,
      rows.some(({ due }) => due !== undefined),
    );
}
