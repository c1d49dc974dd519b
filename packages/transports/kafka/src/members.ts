import type { Kafka } from 'kafkajs';
import { type Broker, type Cluster, type CommitRequest, eachBroker } from './kafkajs-inside.js';

/** A consumer as its group has taken it in, until partitions are given anew. */
export interface Member {
  /** Says where the group is to stand, once: who has been given partitions anew since then is refused. */
  commit(topics: CommitRequest['topics']): Promise<void>;
}

/**
 * Knows the consumers of this client as members of their groups. kafkajs tries a commit again when its first try has failed, and then in the name of the generation that it
 * is in by now: so what was settled before a partition went to somebody else would be taken for settled after it, and set the group back there.
 */
export class Members {
  private readonly known = new WeakSet<Broker>();
  /** By group and id. */
  private readonly members = new Map<string, Member>();

  /** @throws HF_INVARIANT with a kafkajs that is made otherwise */
  constructor(kafka: Kafka) {
    eachBroker(kafka, (broker, cluster) => {
      if (!this.known.has(broker)) this.watch(broker, cluster);
      this.known.add(broker);
    });
  }

  /** As it was taken in last. */
  of(groupId: string, memberId: string): Member | undefined {
    return this.members.get(nameOf(groupId, memberId));
  }

  private watch(broker: Broker, cluster: Cluster): void {
    const join = broker.joinGroup.bind(broker);
    broker.joinGroup = async (request) => {
      const answer = await join(request).catch((error: unknown) => {
        // Its session was over: it comes back as somebody else.
        if ((error as { readonly type?: unknown }).type === 'UNKNOWN_MEMBER_ID')
          this.members.delete(nameOf(request.groupId, request.memberId));
        throw error;
      });
      const { memberId, generationId: groupGenerationId } = answer;
      const commit = async (topics: CommitRequest['topics']) => {
        const coordinator = broker.isConnected() ? broker : await cluster.findBroker(broker);
        await coordinator.offsetCommit({ groupId: request.groupId, memberId, groupGenerationId, topics });
      };
      this.members.set(nameOf(request.groupId, memberId), { commit });
      return answer;
    };
    const leave = broker.leaveGroup.bind(broker);
    broker.leaveGroup = (request) => {
      this.members.delete(nameOf(request.groupId, request.memberId));
      return leave(request);
    };
  }
}

function nameOf(groupId: string, memberId: string): string {
  return `${memberId} in ${groupId}`;
}
