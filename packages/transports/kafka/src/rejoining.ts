import type { Kafka } from 'kafkajs';
import { type Broker, eachBroker, type JoinRequest } from './kafkajs-inside.js';

/**
 * Lets a consumer that is made anew come back to its group as who it was. A group that still knows the member that was lost would have whoever is new wait until that one's
 * session is over, and a broker that comes back begins to count it then: ten seconds, for nothing, after each end of a broker.
 */
export function rejoining(kafka: Kafka): Kafka {
  const known = new WeakSet<Broker>();
  /** Ids by group: the last that were given. A group that was left does not know them any more, and says so. */
  const members = new Map<string, string>();
  eachBroker(kafka, (broker) => {
    if (known.has(broker)) return;
    known.add(broker);
    const join = broker.joinGroup.bind(broker);
    const comeIn = async (request: JoinRequest) => {
      const answer = await join(request);
      members.set(request.groupId, answer.memberId);
      return answer;
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
        return comeIn(request);
      }
    };
  });
  return kafka;
}
