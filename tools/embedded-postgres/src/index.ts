export { EmbeddedPostgres, type EmbeddedPostgresOptions, freePort } from './embedded-postgres.js';
export { type CountingProxy, countingProxy, type RoundTrip, type SpokenTransaction, transactionsIn } from './counting-proxy.js';
