/**
 * Tells one life of the server from another: after a crash or a fail-over what was read may not be there any more, and the same ids may be other rows. As
 * an SQL expression, the same in every session.
 */
export const LIFE = 'extract(epoch from pg_postmaster_start_time())::text';
