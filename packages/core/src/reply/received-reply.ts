/** A reply as it came, not yet read. */
export interface ReceivedReply {
  /** Attributes as flat JSON text (see `attributesOf`). */
  readonly attributes: string;
  readonly body: Uint8Array;
}
