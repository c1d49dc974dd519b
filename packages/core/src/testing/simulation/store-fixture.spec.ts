import { randomUUID } from 'node:crypto';
import type { Store } from '../../store/store.port.js';
import { systemScheduler } from '../../time/scheduler.js';
import type { StoreDatabase, StoreFixture, StoreProcess } from '../contracts/store-kit.js';
import { SimulatedBranchStore } from './branch-store.spec.js';
import { SimulatedDatabase } from './database.spec.js';
import { SimulatedSagaStore } from './saga-store.spec.js';

/** The stores of the simulation, for the facts of the store contract that are about them. */
export const simulatedStores: StoreFixture = {
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
            // Nobody here is ever silent.
            heartbeat: async () => 0,
            reap: async () => [],
          },
          // Some statement, at any isolation.
          inbox: { remember: async () => [true] },
          transactions: db.transactionsOf(client),
          sagas: new SimulatedSagaStore(db, client, service),
          branches: new SimulatedBranchStore(db, client, service),
        };
        return { nodeId, store: store as unknown as Store, close: async () => undefined };
      },
      execute: () => Promise.reject(new Error('it speaks no SQL')),
      drop: async () => undefined,
    };
  },
};
