import { AssignerProtocol, type Assigner, type Cluster, type GroupMember, type PartitionAssigner } from 'kafkajs';
import type { Place } from './client.port.js';

const { MemberAssignment, MemberMetadata } = AssignerProtocol;
const NAME = 'holdfast-even';
const VERSION = 1;

/** A member of a group, and what it reads. */
export interface Reader {
  readonly memberId: string;
  readonly topics: readonly string[];
}

/**
 * Gives each partition to one of the members that read its topic, to all of them about as many. kafkajs's own assigner gives every topic of the one who
 * assigns to every member: while a new version of a service is deployed, the old one would be given what it does not read, and nobody would read it.
 */
export function shares(readers: readonly Reader[], places: readonly Place[]): ReadonlyMap<string, readonly Place[]> {
  const given = new Map<string, Place[]>(sorted(readers).map(({ memberId }) => [memberId, []]));
  for (const place of places) {
    const able = sorted(readers).filter(({ topics }) => topics.includes(place.topic));
    const least = able.reduce<Place[] | undefined>((best, { memberId }) => {
      const own = given.get(memberId) as Place[];
      return best === undefined || own.length < best.length ? own : best;
    }, undefined);
    least?.push(place);
  }
  return given;
}

/** The same, as kafkajs asks for it. */
export const assignEvenly: PartitionAssigner = ({ cluster }: { readonly cluster: Cluster }): Assigner => ({
  name: NAME,
  version: VERSION,
  async assign({ members }) {
    const readers = members.map(readerOf);
    const topics = [...new Set(readers.flatMap((reader) => reader.topics))].sort();
    // The one who assigns may not read all of them.
    await cluster.addMultipleTargetTopics(topics);
    const places = topics.flatMap((topic) =>
      cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ topic, partition: partitionId })),
    );
    return [...shares(readers, places)].map(([memberId, own]) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({ version: VERSION, assignment: byTopic(own), userData: Buffer.alloc(0) }),
    }));
  },
  protocol: ({ topics }) => ({
    name: NAME,
    metadata: MemberMetadata.encode({ version: VERSION, topics, userData: Buffer.alloc(0) }),
  }),
});

function readerOf({ memberId, memberMetadata }: GroupMember): Reader {
  return { memberId, topics: MemberMetadata.decode(memberMetadata)?.topics ?? [] };
}

function byTopic(places: readonly Place[]): Record<string, number[]> {
  const partitions: Record<string, number[]> = {};
  for (const { topic, partition } of places) {
    partitions[topic] ??= [];
    partitions[topic].push(partition);
  }
  return partitions;
}

/** By id: whoever assigns comes to the same. */
function sorted(readers: readonly Reader[]): readonly Reader[] {
  return [...readers].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
}
