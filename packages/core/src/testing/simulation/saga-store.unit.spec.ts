import { randomUUID } from 'node:crypto';
import type { Store } from '../../store/store.port.js';
import { systemScheduler } from '../../time/scheduler.js';
import type { StoreDatabase, StoreFixture, StoreProcess } from '../contracts/store-kit.js';
import { SAGA_FACTS } from '../contracts/store-sagas.contract.js';
import { SimulatedDatabase } from './database.spec.js';
import { SimulatedSagaStore } from './saga-store.spec.js';

/** Their proof asks in SQL: that operators are written down, and that what is old is deleted. Nothing of the simulation depends on either. */
const IN_SQL = /written down|deleted with their history/;

const fixture: StoreFixture = {
  async open(): Promise<StoreDatabase> {
    const db = new SimulatedDatabase({
      name: 'default',
      nowMs: () => Date.now(),
      tripMs: () => 0,
      breaksCommit: () => undefined,
      coin: () => false,
      committed: () => undefined,
    });
    return {
      open: async ({ service = 'contract' } = {}): Promise<StoreProcess> => {
        const nodeId = randomUUID();
        const client = { name: nodeId, isAlive: true, scheduler: systemScheduler };
        const store = {
          schema: { migrate: async () => undefined },
          ready: async () => undefined,
          nodes: {
            join: async () => void db.table('node').set(nodeId, {}),
            leave: async (id: string) => void db.table('node').delete(id),
          },
          transactions: db.transactionsOf(client),
          sagas: new SimulatedSagaStore(db, client, service),
        };
        return { nodeId, store: store as unknown as Store, close: async () => undefined };
      },
      execute: () => Promise.reject(new Error('it speaks no SQL')),
      drop: async () => undefined,
    };
  },
};

describe('the simulated store of sagas', () => {
  const facts = SAGA_FACTS.filter(({ name }) => !IN_SQL.test(name));

  it.each(facts)('keeps that $name', ({ check }) => check(fixture));

  it('keeps all facts that are not asked for in SQL', () => {
    expect(SAGA_FACTS.length - facts.length).toBe(2);
  });
});
