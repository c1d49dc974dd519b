import type { TransportCapabilities } from '../../transport/transport.port.js';
import type { Bench } from './transport-kit.js';

/** A fact about transports, and which of them it is a fact about. */
export interface TransportFact {
  readonly name: string;
  readonly isFor: (capabilities: TransportCapabilities) => boolean;
  readonly check: (bench: Bench) => Promise<void>;
}

/**
 * Facts about one subject.
 *
 * @param subject how their sentences begin
 * @param checks how the sentences go on, with what proves them
 * @param isFor which transports promise it; default: all
 */
export function factsOf(
  subject: string,
  checks: Readonly<Record<string, TransportFact['check']>>,
  isFor: TransportFact['isFor'] = () => true,
): readonly TransportFact[] {
  return Object.entries(checks).map(([predicate, check]) => ({ name: `${subject} ${predicate}`, isFor, check }));
}
