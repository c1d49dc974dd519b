import type { LocalUnitOptions } from './unit-of-work.js';

/** A unit of the framework beside the work of users: on a connection of its own, and it sees what others have committed. */
export const FRAMEWORK_UNIT: LocalUnitOptions = { propagation: 'REQUIRES_NEW', isolation: 'READ COMMITTED', timeout: '1m' };
