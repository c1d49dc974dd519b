export { IN_MEMORY_CAPABILITIES, inMemory } from './in-memory-transport.js';
