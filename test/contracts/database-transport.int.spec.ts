import { DATABASE_CAPABILITIES, database } from '@holdfast/transport-database';
import { onPostgres } from './postgres-system.js';
import { transportContract } from './transport.contract.js';

transportContract('database', { capabilities: DATABASE_CAPABILITIES, open: () => onPostgres(database) });
