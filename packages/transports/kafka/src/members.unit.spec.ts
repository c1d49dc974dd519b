import type { Kafka } from 'kafkajs';
import type { Broker, Cluster, CommitRequest } from './kafkajs-inside.js';
import { Members } from './members.js';

const TOPICS: CommitRequest['topics'] = [{ topic: 't', partitions: [{ partition: 0, offset: '7', metadata: null }] }];

/** A consumer whose group takes it in again and again, and brokers that are found by their number. */
async function grouped() {
  const commits: unknown[] = [];
  let generationId = 0;
  let isOver = false;
  const brokerOf = (nodeId: number) => {
    const broker = {
      nodeId,
      isDown: false,
      isConnected: () => !broker.isDown,
      joinGroup: async () => {
        if (isOver) throw Object.assign(new Error('no such member'), { type: 'UNKNOWN_MEMBER_ID' });
        generationId += 1;
        return { memberId: 'm', generationId };
      },
      leaveGroup: async () => undefined,
      offsetCommit: async (request: CommitRequest) => {
        if (broker.isDown) throw new Error('no connection');
        commits.push([nodeId, request]);
        if (generationId !== request.groupGenerationId) throw new Error('an earlier generation');
      },
    };
    return broker;
  };
  let [now, next] = [brokerOf(1), brokerOf(1)];
  const cluster = {
    findBroker: async () => now as unknown as Broker,
  };
  const kafka = { [Symbol('private:Kafka:createCluster')]: () => cluster as unknown as Cluster };
  const members = new Members(kafka as unknown as Kafka);
  const [name] = Object.getOwnPropertySymbols(kafka);
  const inside = (kafka as Record<symbol, () => Cluster>)[name as symbol]?.();
  const ask = async () => (await inside?.findBroker({ nodeId: 1 })) as Broker;
  const request = { groupId: 'g', memberId: 'm' };
  return {
    commits,
    members,
    join: async () => (await ask()).joinGroup(request),
    leave: async () => (await ask()).leaveGroup(request),
    endSession: () => {
      isOver = true;
    },
    /** Its connection is lost, and made anew by whoever asks for it. */
    lose: () => {
      now.isDown = true;
      [now, next] = [next, now];
    },
  };
}

describe('a member of a group', () => {
  const inGeneration = (groupGenerationId: number) => [1, { groupId: 'g', memberId: 'm', groupGenerationId, topics: TOPICS }];

  it('commits as what it was when it was taken in, and is refused when partitions have been given anew since', async () => {
    const { members, join, commits } = await grouped();
    await join();
    const first = members.of('g', 'm');
    await first?.commit(TOPICS);
    await join();
    await expect(first?.commit(TOPICS)).rejects.toThrow('an earlier generation');
    await members.of('g', 'm')?.commit(TOPICS);
    expect(commits).toEqual([inGeneration(1), inGeneration(1), inGeneration(2)]);
  });

  it('finds the broker of its group again whose connection was lost', async () => {
    const { members, join, lose, commits } = await grouped();
    await join();
    lose();
    await members.of('g', 'm')?.commit(TOPICS);
    expect(commits).toEqual([inGeneration(1)]);
  });

  it('is forgotten when it leaves', async () => {
    const { members, join, leave } = await grouped();
    await join();
    await leave();
    expect([members.of('g', 'm'), members.of('other', 'm')]).toEqual([undefined, undefined]);
  });

  it('is forgotten when its session was over', async () => {
    const { members, join, endSession } = await grouped();
    await join();
    endSession();
    await expect(join()).rejects.toThrow('no such member');
    expect(members.of('g', 'm')).toBeUndefined();
  });
});
