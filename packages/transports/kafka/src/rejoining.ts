import type { Kafka } from 'kafkajs';
import { type Broker, type Cluster, eachBroker, type JoinRequest } from './kafkajs-inside.js';

/**
 * Lets a consumer that is made anew come back to its group as who it was. A group that still knows the member that was lost would have whoever is new wait until that one's
 * session is over, and a broker that comes back begins to count it then: ten seconds, for nothing, after each end of a broker.
 * One that was given up may leave the group late, as the same member: it must not take its successor with it.
 */
export function rejoining(kafka: Kafka): Kafka {
  const known = new WeakSet<Broker>();
  /** Ids by group: the last that were given. A group that was left does not know them any more, and says so. */
  const members = new Map<string, string>();
  /** Who was the last that wanted to join as a member of a group, by both. */
  const owners = new Map<string, Cluster>();
  eachBroker(kafka, (broker, cluster) => {
    if (known.has(broker)) return;
    known.add(broker);
    const join = broker.joinGroup.bind(broker);
    const comeIn = async (request: JoinRequest) => {
      // The group may take long to answer, and who had the id before may leave meanwhile.
      if (request.memberId !== '') owners.set(nameOf(request), cluster);
      const answer = await join(request);
      members.set(request.groupId, answer.memberId);
      owners.set(nameOf({ ...request, ...answer }), cluster);
      return answer;
    };
    const leave = broker.leaveGroup.bind(broker);
    broker.leaveGroup = async (request) => {
      const owner = owners.get(nameOf(request));
      if (owner !== undefined && owner !== cluster) return;
      owners.delete(nameOf(request));
      return leave(request);
    };
    broker.joinGroup = async (request) => {
      const { groupId } = request;
      const memberId = members.get(groupId);
      if (request.memberId !== '' || memberId === undefined) return comeIn(request);
      try {
        return await comeIn({ ...request, memberId });
      } catch (error) {
        if ((error as { readonly type?: unknown }).type !== 'UNKNOWN_MEMBER_ID') throw error;
        members.delete(groupId);
        owners.delete(nameOf({ groupId, memberId }));
        return comeIn(request);
      }
    };
  });
  return kafka;
}

function nameOf({ groupId, memberId }: JoinRequest): string {
  return `${memberId} in ${groupId}`;
}
