/** Processes that share a store. */
export interface NodeStore {
  /** Announces this process. */
  join(nodeId: string): Promise<void>;
  /** Says that it lives; true when somebody had declared it dead meanwhile (it was frozen): it has joined again. */
  heartbeat(nodeId: string): Promise<boolean>;
  /**
   * Finds processes of this service that stopped without saying so: ends their database sessions, so that what they held is free,
   * and marks the places they may have died at as suspect. Their ids.
   */
  reap(nodeId: string, silentForMs: number): Promise<readonly string[]>;
  /** Says that this process stops in good order. */
  leave(nodeId: string): Promise<void>;
  /** Processes of this service that live, as far as known. */
  live(): Promise<readonly string[]>;
}
