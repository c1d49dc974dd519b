import { randomUUID } from 'node:crypto';
import { RELAY_SCOPE, type RelayBatch, type Store } from '@holdfast/core';
import type { OpenStore } from './open-store.js';

/** Long enough for any test. */
const TTL_MS = 3_600_000;

/** A relay whose steps are told one by one: it owns the lanes it gets in one round. */
export class HandRelay {
  private constructor(
    private readonly store: Store,
    readonly lanes: readonly number[],
    readonly ownerToken: string,
  ) {}

  /** Takes all lanes that are free. */
  static async of({ store }: Pick<OpenStore, 'store'>, { nodeId = randomUUID(), ttlMs = TTL_MS } = {}): Promise<HandRelay> {
    const newToken = randomUUID();
    const { held } = await store.leases.round(RELAY_SCOPE, { nodeId, ownerTokens: [], newToken, ttlMs, isAble: true });
    return new HandRelay(
      store,
      held.map(({ part }) => part),
      newToken,
    );
  }

  read(rows = 100): Promise<readonly RelayBatch[]> {
    return this.store.relay.read(this.lanes, { rows, bytes: 2 ** 24 });
  }

  advance(batch: RelayBatch, count: number): Promise<boolean> {
    return this.store.relay.advance(batch, { count, parked: [], ownerToken: this.ownerToken });
  }
}
