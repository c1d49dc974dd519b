import type { LocalUnitOptions } from '../unit-of-work/unit-of-work.js';

/** Units of the framework: their own connection, and they need to see what others committed. */
export const FRAMEWORK_UNIT: LocalUnitOptions = { propagation: 'REQUIRES_NEW', isolation: 'READ COMMITTED', timeout: '1m' };
