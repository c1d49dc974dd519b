import { isHoldfastError } from '../errors/holdfast-error.js';
import { printable } from '../errors/printable.js';
import { toMs } from '../time/duration.js';
import type { TransportCapabilities } from '../transport/transport.port.js';
import type { UnitOptions } from '../unit-of-work/unit-of-work.js';
import type { HandlerPolicies } from './subscription-options.js';

const DEFAULT_TIMEOUT = '30s';
/** What Kafka allows, unless it was told otherwise (`transaction.max.timeout.ms`). */
const LONGEST_MS = 15 * 60_000;
const OPTIONS = ['protocol', 'timeout'];

/** Which broker is asked for a transaction. */
export interface KafkaUnitTerms {
  readonly capabilities: Pick<TransportCapabilities, 'fencedOffsets'>;
  /** Name of the transport, for the sentence. */
  readonly transport: string;
}

/** How a handler is handled in Kafka transactions; undefined: it is not. What is wrong with its other policies goes to `problem`. */
export function kafkaUnitOf(
  { capabilities, transport }: KafkaUnitTerms,
  { transactional, idempotent, ordering }: HandlerPolicies<never>,
  problem: (text: string) => void,
): { readonly timeoutMs: number } | undefined {
  const unit: UnitOptions | undefined = typeof transactional === 'object' ? transactional : undefined;
  if (unit?.protocol !== 'kafka') return undefined;
  const kafka = "@Transactional({ protocol: 'kafka' })";
  if (capabilities.fencedOffsets !== true)
    problem(
      `${kafka} is not possible with ${transport}; use @Idempotent() and @Transactional(), which keep the same promise in a database`,
    );
  if (idempotent)
    problem(
      `@Idempotent remembers in a database, which does not commit with ${kafka}; take @Idempotent away, because the offsets commit with what is published, or protocol: 'kafka'`,
    );
  if (ordering === 'key')
    problem(`ordering: 'key' is about what waits in a database; ${kafka} handles each partition in its order, so leave ordering out`);
  const others = Object.keys(unit).filter((option) => !OPTIONS.includes(option) && unit[option as never] !== undefined);
  if (others.length > 0)
    problem(`transactional.${others.join(', transactional.')}: that is for a database, and ${kafka} has none; leave it out`);
  return { timeoutMs: timeoutOf(unit.timeout ?? DEFAULT_TIMEOUT, problem) };
}

function timeoutOf(timeout: Parameters<typeof toMs>[0], problem: (text: string) => void): number {
  try {
    const timeoutMs = toMs(timeout, 'transactional.timeout');
    if (timeoutMs < 1 || timeoutMs > LONGEST_MS)
      problem(`transactional.timeout is ${printable(timeout)}; with protocol: 'kafka' it is from 1 ms to 15 minutes, which brokers allow`);
    return timeoutMs;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    problem(error.message);
    return 0;
  }
}
