import { DEFAULT_TRANSPORT, RELAY_SCOPE } from '@holdfast/core';

/** The scope of the leases of a lane, as an SQL expression beside its row `l`: what `relayScopeOf` makes of its transport. */
export const SCOPE_OF_LANE = `case l.transport when '${DEFAULT_TRANSPORT}' then '${RELAY_SCOPE}' else '${RELAY_SCOPE}:' || l.transport end`;

/** That a row of the lanes is one of the default transport's, which alone may be read by its subscriptions. */
export const IS_DEFAULT = `transport = '${DEFAULT_TRANSPORT}'`;
