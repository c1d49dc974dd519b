import { transportContract } from '@holdfast/core/testing/contracts';
import { DATABASE_CAPABILITIES, database } from '@holdfast/transport-database';
import { onPostgres } from './postgres-system.js';
import { runContract } from './run-contract.js';

runContract('the transport database', transportContract(DATABASE_CAPABILITIES), { open: () => onPostgres(database) });
