import { AsyncLocalStorage } from 'node:async_hooks';
import { DataSource, type EntityManager, type QueryRunner } from 'typeorm';
import { POOL_SIZE } from '../shop/shop.js';
import { HandShop, type Sql } from './hand-shop.js';

/**
 * The reference once more for whoever stays within TypeORM: `dataSource.transaction`, and the manager where the code that runs in it finds it. TypeORM
 * cannot name a statement, so that the server parses and plans each one every time.
 */
export class HandTypeormShop extends HandShop {
  private readonly dataSource: DataSource;
  private readonly current = new AsyncLocalStorage<EntityManager>();

  private readonly sql: Sql = {
    query: async <Row extends object>({ text, values }: { readonly text: string; readonly values: unknown[] }) => {
      const { queryRunner } = this.current.getStore() as EntityManager & { readonly queryRunner: QueryRunner };
      const { records, affected } = await queryRunner.query(text, values, true);
      return { rows: (records ?? []) as Row[], rowCount: affected ?? null };
    },
  };

  constructor(url: string) {
    super(url);
    this.dataSource = new DataSource({ type: 'postgres', url, poolSize: POOL_SIZE, extra: { idleTimeoutMillis: 0 } });
  }

  override async createTables(): Promise<void> {
    await super.createTables();
    await this.dataSource.initialize();
  }

  override async close(): Promise<void> {
    await super.close();
    await this.dataSource.destroy();
  }

  protected override inTransaction<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.dataSource.transaction((manager) => this.current.run(manager, () => work(this.sql)));
  }
}
