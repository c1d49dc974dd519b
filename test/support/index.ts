export { type BlackHole, openBlackHole } from './black-hole.js';
export { EmbeddedPostgres, type EmbeddedPostgresOptions } from '@holdfast-internal/embedded-postgres';
export { embeddedServer, externalServer, servers, type TestServer } from './servers.js';
export { borrowTestDatabase, createTestDatabase, type TestDatabase } from './test-database.js';
