import type { SubscriptionSpec } from '@holdfast/core';
import type { KafkaClient, Place, Position } from './client.port.js';
import type { Names } from './names.js';

/** Where a group is to begin. */
export interface FirstPositions {
  readonly spec: SubscriptionSpec;
  readonly positions: readonly Position[];
}

/**
 * Writes where a group that makes transactions begins, where it stands nowhere. Several processes may start at once, and one of them may have committed something by
 * now: so this is a transaction like any other, and shuts out who had the partition before it looks once more. The first partition of a topic is written last: as
 * long as the group does not stand there, it is new in this topic, however far a start has come that was broken off, or shut out by another one.
 */
export async function setFirst(client: KafkaClient, names: Names, { spec, positions }: FirstPositions): Promise<void> {
  const group = names.groupOf(spec);
  const timeoutMs = spec.transaction?.timeoutMs ?? 0;
  const inOrder = [...positions.filter((each) => !isInFirst(each)), ...positions.filter(isInFirst)];
  for (const { topic, partition, offset } of inOrder) {
    const place = { topic, partition };
    const transactionalId = names.transactionalIdOf(group, place);
    const producer = await client.openTransactions({ transactionalId, timeoutMs });
    try {
      const known = await client.administer((admin) => admin.settledPosition(group, place));
      if (known === undefined) await producer.transact([], group, { ...place, offset });
    } finally {
      await producer.end();
    }
  }
}

/** Whether it is in the partition that every topic has. */
export function isInFirst({ partition }: Place): boolean {
  return partition === 0;
}
