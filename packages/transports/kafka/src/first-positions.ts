import type { SubscriptionSpec } from '@holdfast/core';
import type { KafkaClient, Position } from './client.port.js';
import type { Names } from './names.js';

/** Where a group is to begin. */
export interface FirstPositions {
  readonly spec: SubscriptionSpec;
  readonly positions: readonly Position[];
}

/**
 * Writes where a group that makes transactions begins, where it stands nowhere. Several processes may start at once, and one of them may have committed something by
 * now: so this is a transaction like any other, and shuts out who had the partition before it looks once more.
 */
export async function setFirst(client: KafkaClient, names: Names, { spec, positions }: FirstPositions): Promise<void> {
  const group = names.groupOf(spec);
  const timeoutMs = spec.transaction?.timeoutMs ?? 0;
  for (const { topic, partition, offset } of positions) {
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
