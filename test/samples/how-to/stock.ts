// docs/how-to/transactions.md
import { Message, MessageBus, Transactional, UnitOfWork } from '@holdfast/nest';
import { Injectable, Logger } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Column, DataSource, Entity, PrimaryColumn, PrimaryGeneratedColumn, Repository } from 'typeorm';

@Message('stock.moved')
export class StockMoved {
  constructor(
    readonly sku: string,
    readonly by: number,
  ) {}
}

@Entity()
export class StockItem {
  @PrimaryColumn() sku!: string;
  @Column('int') amount!: number;
}

@Entity()
export class AuditEntry {
  @PrimaryGeneratedColumn() id!: number;
  @Column() what!: string;
}

@Injectable()
export class Audit {
  constructor(@InjectRepository(AuditEntry) private readonly entries: Repository<AuditEntry>) {}

  /** Kept even when the caller rolls back. */
  @Transactional({ propagation: 'REQUIRES_NEW' })
  async record(what: string): Promise<void> {
    await this.entries.insert({ what });
  }
}

@Injectable()
export class Stock {
  private readonly logger = new Logger(Stock.name);

  constructor(
    @InjectRepository(StockItem) private readonly items: Repository<StockItem>,
    private readonly dataSource: DataSource,
    private readonly unit: UnitOfWork,
    private readonly bus: MessageBus,
  ) {}

  async move(sku: string, by: number): Promise<number> {
    return this.unit.run({ isolation: 'SERIALIZABLE', retries: 3 }, async () => {
      const item = await this.items.findOneByOrFail({ sku });
      item.amount += by;
      await this.items.save(item);
      await this.bus.publish(new StockMoved(sku, by), { key: sku });
      this.unit.afterCommit(() => this.logger.debug(`${sku} moved by ${by}`));
      return item.amount;
    });
  }

  /** Code that opens its own transaction keeps it; messages join it. */
  async remove(sku: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await this.unit.join(manager, async () => {
        await manager.delete(StockItem, { sku });
        await this.bus.publish(new StockMoved(sku, 0), { key: sku });
      });
    });
  }
}
