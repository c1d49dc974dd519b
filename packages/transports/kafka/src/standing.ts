/** As Kafka tells that a group stands nowhere. */
const NOWHERE = -1n;
/** What kafkajs commits where the records are gone that were to be read next. */
const OLDEST = -2n;

/** The offset of what a group reads next, of what is told; undefined: it stands nowhere. The oldest record is whatever comes first. */
export function standingAt(told: bigint): bigint | undefined {
  if (told === OLDEST) return 0n;
  return told <= NOWHERE ? undefined : told;
}
