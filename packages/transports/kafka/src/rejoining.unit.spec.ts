import type { Kafka } from 'kafkajs';
import type { Broker, Cluster, JoinRequest } from './kafkajs-inside.js';
import { rejoining } from './rejoining.js';

/** A broker with groups, reached through a kafkajs that is made anew for each consumer. */
async function grouped() {
  const members = new Set<string>();
  const joins: string[] = [];
  let made = 0;
  const broker = {
    joinGroup: async ({ groupId, memberId }: JoinRequest) => {
      joins.push(`${groupId}:${memberId}`);
      if (memberId !== '' && !members.has(`${groupId}:${memberId}`))
        throw Object.assign(new Error('unknown'), { type: 'UNKNOWN_MEMBER_ID' });
      made += memberId === '' ? 1 : 0;
      const id = memberId === '' ? `m${made}` : memberId;
      members.add(`${groupId}:${id}`);
      return { memberId: id };
    },
    leaveGroup: async ({ groupId, memberId }: JoinRequest) => void members.delete(`${groupId}:${memberId}`),
  } as unknown as Broker;
  const kafka = { [Symbol('private:Kafka:createCluster')]: () => ({ findBroker: async () => ({ ...broker }) }) as unknown as Cluster };
  rejoining(kafka as unknown as Kafka);
  const [name] = Object.getOwnPropertySymbols(kafka);
  /** A consumer: each has connections of its own. */
  const consumer = async () => {
    const its = (await (kafka as Record<symbol, () => Cluster>)[name as symbol]?.().findBroker({})) as Broker;
    return {
      join: async (groupId = 'g', memberId = '') => (await its.joinGroup({ groupId, memberId })).memberId,
      leave: (memberId: string) => its.leaveGroup({ groupId: 'g', memberId }),
    };
  };
  const { join } = await consumer();
  return { join, joins, members, consumer };
}

describe('a consumer that is made anew', () => {
  it('comes back as who it was: its group need not wait for the end of a session', async () => {
    const { join, joins } = await grouped();
    expect([await join(), await join(), await join('other')]).toEqual(['m1', 'm1', 'm2']);
    expect(joins).toEqual(['g:', 'g:m1', 'other:']);
  });

  it('is somebody new where the group has forgotten it, or it has left', async () => {
    const { join, members, joins } = await grouped();
    await join();
    members.clear();
    expect([await join(), await join()]).toEqual(['m2', 'm2']);
    expect(joins).toEqual(['g:', 'g:m1', 'g:', 'g:m2']);
  });

  it('is not thrown out by the one before it, which leaves late as the same member', async () => {
    const { consumer, members } = await grouped();
    const [lost, next] = [await consumer(), await consumer()];
    await lost.join();
    const joining = next.join();
    await lost.leave('m1');
    expect(await joining).toBe('m1');
    await lost.leave('m1');
    expect([...members]).toEqual(['g:m1']);
    await next.leave('m1');
    expect([...members]).toEqual([]);
  });

  it('is told as before that it is not known under the name that it gives itself', async () => {
    const { join } = await grouped();
    await join();
    await expect(join('g', 'stranger')).rejects.toMatchObject({ type: 'UNKNOWN_MEMBER_ID' });
  });
});
