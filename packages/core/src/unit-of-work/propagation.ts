import { hfError } from '../errors/catalogue.js';
import type { UnitSettings } from './unit.js';
import type { Propagation, LocalUnitOptions } from './unit-of-work.js';

/** What to do with a call: open a unit, run in the one in scope, run in a nested part of it, run outside it, or run as it is. */
export type Entering = 'begin' | 'join' | 'nest' | 'suspend' | 'bare';

/**
 * What a propagation word means, given whether a unit of the data source is in scope.
 *
 * @throws HF_UOW_PROPAGATION for MANDATORY without a unit and NEVER within one
 * @source Jakarta Transactions 2.0 §3.7; NESTED: Spring Framework, TransactionDefinition.PROPAGATION_NESTED
 */
export function decideEntering(propagation: Propagation, hasUnit: boolean): Entering {
  switch (propagation) {
    case 'REQUIRED':
      return hasUnit ? 'join' : 'begin';
    case 'REQUIRES_NEW':
      return 'begin';
    case 'NESTED':
      return hasUnit ? 'nest' : 'begin';
    case 'SUPPORTS':
      return hasUnit ? 'join' : 'bare';
    case 'NOT_SUPPORTED':
      return hasUnit ? 'suspend' : 'bare';
    case 'MANDATORY':
      if (hasUnit) return 'join';
      throw hfError('HF_UOW_PROPAGATION', { propagation, reason: 'no unit of work is in scope' });
    case 'NEVER':
      if (!hasUnit) return 'bare';
      throw hfError('HF_UOW_PROPAGATION', { propagation, reason: 'a unit of work is in scope' });
  }
}

/**
 * Refuses to run in a unit that cannot keep what the options promise.
 *
 * Not a contradiction: `readOnly: true` within a writable unit (the method promises not to write, the unit does not mind), a `timeout`
 * (both hold, the earlier one ends the unit), and no more `retries` than the unit has (it runs again as a whole).
 *
 * @throws HF_UOW_OPTIONS_DIFFER, HF_UOW_RETRIES_JOINED
 */
export function assertJoinable(options: LocalUnitOptions, unit: UnitSettings): void {
  const { isolation, readOnly, retries, protocol } = options;
  if (protocol !== undefined && protocol !== unit.protocol) throw differs('protocol', unit.protocol, protocol);
  if (isolation !== undefined && isolation !== unit.isolation)
    throw differs('isolation', unit.isolation ?? "the database's default", isolation);
  if (readOnly === false && unit.isReadOnly) throw differs('readOnly', true, false);
  if (retries !== undefined && retries > unit.retries) throw hfError('HF_UOW_RETRIES_JOINED', { retries, unitRetries: unit.retries });
}

function differs(option: string, actual: unknown, wanted: unknown): Error {
  return hfError('HF_UOW_OPTIONS_DIFFER', { option, actual, wanted });
}
