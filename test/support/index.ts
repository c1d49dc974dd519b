export { Authority, type Certificate } from './certificates.js';
export { type BlackHole, openBlackHole } from './black-hole.js';
export { EmbeddedPostgres, type EmbeddedPostgresOptions, freePort } from '@holdfast-internal/embedded-postgres';
export { type Eventually, eventuallyWithin, pause } from './eventually.js';
export { embeddedServer, externalServer, servers, type TestServer } from './servers.js';
export { describeWithOwnRabbit, OwnRabbit } from './own-rabbit.js';
export { type Admin, describeWithRabbit, openRabbit, type RabbitArea } from './rabbit.js';
export { borrowTestDatabase, createTestDatabase, type TestDatabase } from './test-database.js';
