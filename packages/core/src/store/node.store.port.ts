/** Processes that share a store. */
export interface NodeStore {
  /**
   * Announces this process, and marks the places as suspect at which others of its service may have died: those that were silent for so long. They
   * lose nothing by that, because it may as well have been the database that nobody could reach.
   */
  join(nodeId: string, silentForMs: number): Promise<void>;
  /**
   * Says that it lives. Milliseconds since it last said so, by the database's clock; undefined when somebody had declared it dead meanwhile (it was
   * frozen): it has joined again.
   */
  heartbeat(nodeId: string): Promise<number | undefined>;
  /**
   * Finds processes of this service that stopped without saying so: ends their database sessions, so that what they held is free,
   * and marks the places they may have died at as suspect. Their ids; none when this process has not said for some seconds, and half of that time, itself that it lives.
   */
  reap(nodeId: string, silentForMs: number): Promise<readonly string[]>;
  /** Says that this process stops in good order. */
  leave(nodeId: string): Promise<void>;
  /** Processes of this service that live, as far as known. */
  live(): Promise<readonly string[]>;
}
