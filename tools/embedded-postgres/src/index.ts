export { EmbeddedPostgres, type EmbeddedPostgresOptions, freePort } from './embedded-postgres.js';
