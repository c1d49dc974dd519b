export { database, DATABASE_CAPABILITIES, type DatabaseOptions } from './database-transport.js';
