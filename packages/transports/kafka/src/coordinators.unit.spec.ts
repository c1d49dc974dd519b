import type { Kafka } from 'kafkajs';
import { Coordinators } from './coordinators.js';
import type { Cluster, CoordinatorQuestion } from './kafkajs-inside.js';

const OF_TRANSACTIONS = 1;

/** A kafkajs whose producer asks what it is told to, and whose broker answers with another node each time. */
function producing() {
  const asked: string[] = [];
  const cluster = {
    findGroupCoordinatorMetadata: async ({ groupId }: CoordinatorQuestion) => {
      asked.push(groupId);
      return { coordinator: { nodeId: asked.length } };
    },
  } as unknown as Cluster;
  const kafka = { [Symbol('private:Kafka:createCluster')]: () => cluster };
  const coordinators = new Coordinators(kafka as unknown as Kafka);
  for (const name of Object.getOwnPropertySymbols(kafka)) (kafka as Record<symbol, () => Cluster>)[name]?.();
  const find = async (groupId: string, coordinatorType = 0) =>
    (await cluster.findGroupCoordinatorMetadata({ groupId, coordinatorType })).coordinator.nodeId;
  const transact = async () => {
    coordinators.begin();
    return [await find('id', OF_TRANSACTIONS), await find('id', OF_TRANSACTIONS), await find('group'), await find('id', OF_TRANSACTIONS)];
  };
  return { asked, find, transact, coordinators };
}

describe('the coordinators of a producer', () => {
  it('are asked for once each, however many transactions there are', async () => {
    const { asked, transact } = producing();
    expect(await transact()).toEqual([1, 1, 2, 1]);
    expect(await transact()).toEqual([1, 1, 2, 1]);
    expect(asked).toEqual(['id', 'group']);
  });

  it('are asked for each time until the first transaction: the id may just be moving', async () => {
    const { find } = producing();
    expect([await find('id', OF_TRANSACTIONS), await find('id', OF_TRANSACTIONS)]).toEqual([1, 2]);
  });

  it('are asked for again when a transaction asks twice for its group: it was the wrong one', async () => {
    const { transact, find } = producing();
    await transact();
    expect(await find('group')).toBe(3);
    expect(await transact()).toEqual([1, 1, 3, 1]);
  });

  it('of an id and of a group with the same name are not the same', async () => {
    const { coordinators, find } = producing();
    coordinators.begin();
    expect([await find('same', OF_TRANSACTIONS), await find('same'), await find('same', OF_TRANSACTIONS)]).toEqual([1, 2, 1]);
  });
});
