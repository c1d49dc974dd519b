import { IN_MEMORY_CAPABILITIES, inMemory } from '@holdfast/transport-in-memory';
import { onPostgres } from './postgres-system.js';
import { transportContract } from './transport.contract.js';

transportContract('in-memory', { capabilities: IN_MEMORY_CAPABILITIES, open: () => onPostgres(inMemory) });
