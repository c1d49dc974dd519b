export { typeorm, type TypeormStoreOptions } from './typeorm-store.js';
