import type { Kafka } from 'kafkajs';
import { Coordinators } from './coordinators.js';
import type { Cluster, CoordinatorQuestion } from './kafkajs-inside.js';

const OF_TRANSACTIONS = 1;

/** A kafkajs whose producer asks what it is told to, and whose broker says which node looks after what. */
function producing() {
  const asked: string[] = [];
  /** Who looks after a transactional id or a group. */
  const owners = new Map([
    ['id', 1],
    ['group', 2],
  ]);
  const dead = new Set<number>();
  const cluster = {
    findGroupCoordinatorMetadata: async ({ groupId }: CoordinatorQuestion) => {
      asked.push(groupId);
      return { coordinator: { nodeId: owners.get(groupId) } };
    },
    findBroker: async ({ nodeId }: { readonly nodeId: number }) => {
      if (dead.has(nodeId)) throw new Error('no answer');
      return {};
    },
    refreshMetadata: async () => undefined,
  } as unknown as Cluster;
  const kafka = { [Symbol('private:Kafka:createCluster')]: () => cluster };
  const coordinators = new Coordinators(kafka as unknown as Kafka);
  for (const name of Object.getOwnPropertySymbols(kafka)) (kafka as Record<symbol, () => Cluster>)[name]?.();
  const find = async (groupId: string, coordinatorType = 0) => {
    const { nodeId } = (await cluster.findGroupCoordinatorMetadata({ groupId, coordinatorType })).coordinator;
    await cluster.findBroker({ nodeId });
    return nodeId;
  };
  const transact = async () => {
    coordinators.begin();
    return [await find('id', OF_TRANSACTIONS), await find('id', OF_TRANSACTIONS), await find('group'), await find('id', OF_TRANSACTIONS)];
  };
  return { asked, owners, dead, cluster, find, transact, coordinators };
}

describe('the coordinators of a producer', () => {
  it('are asked for once each, however many transactions there are', async () => {
    const { asked, transact } = producing();
    expect(await transact()).toEqual([1, 1, 2, 1]);
    expect(await transact()).toEqual([1, 1, 2, 1]);
    expect(asked).toEqual(['id', 'group']);
  });

  it('are asked for each time until the first transaction: the id may just be moving', async () => {
    const { find, owners } = producing();
    await find('id', OF_TRANSACTIONS);
    owners.set('id', 3);
    expect(await find('id', OF_TRANSACTIONS)).toBe(3);
  });

  it('are asked for again in the midst of a transaction when one has moved, and kafkajs looks at its cluster anew', async () => {
    const { transact, owners, find, cluster } = producing();
    await transact();
    owners.set('id', 3);
    expect(await find('id', OF_TRANSACTIONS)).toBe(1);
    await cluster.refreshMetadata();
    expect(await find('id', OF_TRANSACTIONS)).toBe(3);
  });

  it('are asked for again when one does not answer any more', async () => {
    const { transact, owners, find, dead } = producing();
    await transact();
    owners.set('id', 3);
    dead.add(1);
    await expect(find('id', OF_TRANSACTIONS)).rejects.toThrow('no answer');
    expect(await find('id', OF_TRANSACTIONS)).toBe(3);
  });

  it('of an id and of a group with the same name are not the same', async () => {
    const { asked, coordinators, find } = producing();
    coordinators.begin();
    await find('id', OF_TRANSACTIONS);
    await find('id');
    await find('id', OF_TRANSACTIONS);
    expect(asked).toEqual(['id', 'id']);
  });
});
