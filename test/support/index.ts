export { EmbeddedPostgres, type EmbeddedPostgresOptions } from '@holdfast-internal/embedded-postgres';
export { embeddedServer, externalServer, servers, type TestServer } from './servers.js';
export { createTestDatabase, type TestDatabase } from './test-database.js';
