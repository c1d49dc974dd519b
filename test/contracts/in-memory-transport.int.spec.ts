import { transportContract } from '@holdfast/core/testing/contracts';
import { IN_MEMORY_CAPABILITIES, inMemory } from '@holdfast/transport-in-memory';
import { onPostgres } from './postgres-system.js';
import { runContract } from './run-contract.js';

runContract('the transport in-memory', transportContract(IN_MEMORY_CAPABILITIES), { open: () => onPostgres(inMemory) });
