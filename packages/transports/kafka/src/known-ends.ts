import type { LeaderlessPartition, PartitionEnds } from './client.port.js';

/** What a partition has. @throws where nobody knows that: it is there again when the partition has a leader */
export function knownEnds(found: PartitionEnds | LeaderlessPartition): PartitionEnds {
  if (found.next === undefined) throw new Error(`the broker has not told the ends of ${found.topic}/${found.partition}`);
  return found;
}
