import type { EntityManager } from 'typeorm';

declare module '@holdfast/core' {
  interface TransactionHandles {
    /** The manager you got inside `dataSource.transaction()`, or that of a query runner you started a transaction on. */
    typeorm: EntityManager;
  }
}
