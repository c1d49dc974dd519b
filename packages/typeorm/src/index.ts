import './unit-of-work/handles.js';

export { typeorm, type TypeormStoreOptions } from './typeorm-store.js';
export {
  type HoldfastMigrationsOptions,
  holdfastMigrations,
  holdfastStepGuards,
  type MigrationClass,
} from './migration/holdfast-migrations.js';
