export { EmbeddedPostgres, type EmbeddedPostgresOptions, freePort } from './embedded-postgres.js';
export { addressBy, type CountingProxy, countingProxy, type RoundTrip, type SpokenTransaction, transactionsIn } from './counting-proxy.js';
