import { AssignerProtocol, type Assigner, type Cluster, type GroupMember, type PartitionAssigner } from 'kafkajs';
import type { Place } from './client.port.js';

const { MemberAssignment, MemberMetadata } = AssignerProtocol;
const NAME = 'holdfast-even';
const VERSION = 1;

/** A member of a group: what it reads, and which partitions it has until now. */
export interface Reader {
  readonly memberId: string;
  readonly topics: readonly string[];
  readonly had: readonly Place[];
}

/**
 * Gives each partition to one of the members that read its topic, to all of them about as many, and leaves with each what it has as far as that goes: what
 * is in work in a partition that moves is handled again. kafkajs's own assigner moves everything, and gives every topic of the one who assigns to every
 * member: while a new version of a service is deployed, the old one would be given what it does not read, and nobody would read it.
 */
export function shares(readers: readonly Reader[], places: readonly Place[]): ReadonlyMap<string, readonly Place[]> {
  const members = [...readers].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const given = new Map<string, Place[]>(members.map(({ memberId }) => [memberId, []]));
  const most = Math.ceil(places.length / Math.max(1, members.length));
  const sharesOf = ({ memberId }: Reader) => given.get(memberId) as Place[];
  const open = places.filter((place) => {
    const owner = members.find((member) => isAble(member, place) && member.had.some((each) => isSame(each, place)));
    if (owner === undefined || sharesOf(owner).length >= most) return true;
    sharesOf(owner).push(place);
    return false;
  });
  for (const place of open) {
    const able = members.filter((member) => isAble(member, place)).map(sharesOf);
    const least = Math.min(...able.map(({ length }) => length));
    able.find(({ length }) => length === least)?.push(place);
  }
  return given;
}

/** The same, as kafkajs asks for it. @param had what the member has until now, which it tells whoever assigns */
export function assignEvenly(had: () => readonly Place[]): PartitionAssigner {
  return ({ cluster }: { readonly cluster: Cluster }): Assigner => ({
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
      metadata: MemberMetadata.encode({ version: VERSION, topics, userData: Buffer.from(JSON.stringify(had())) }),
    }),
  });
}

function readerOf({ memberId, memberMetadata }: GroupMember): Reader {
  const { topics = [], userData } = MemberMetadata.decode(memberMetadata) ?? {};
  return { memberId, topics, had: placesIn(userData) };
}

/** Only of members that are ours, but this one may be of a later version. */
function placesIn(userData: Buffer | undefined): readonly Place[] {
  try {
    const had: unknown = JSON.parse(String(userData));
    return Array.isArray(had) ? had : [];
  } catch {
    return [];
  }
}

function isAble({ topics }: Reader, { topic }: Place): boolean {
  return topics.includes(topic);
}

function isSame(one: Place, other: Place): boolean {
  return one.topic === other.topic && one.partition === other.partition;
}

function byTopic(places: readonly Place[]): Record<string, number[]> {
  const partitions: Record<string, number[]> = {};
  for (const { topic, partition } of places) {
    partitions[topic] ??= [];
    partitions[topic].push(partition);
  }
  return partitions;
}
