// docs/how-to/batches.md
import { Idempotent, Message, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Column, Entity, PrimaryColumn, Repository } from 'typeorm';

@Message('price.changed')
export class PriceChanged {
  constructor(
    readonly sku: string,
    readonly cents: number,
  ) {}
}

@Entity()
export class Price {
  @PrimaryColumn() sku!: string;
  @Column('int') cents!: number;
}

@Injectable()
export class Prices {
  constructor(@InjectRepository(Price) private readonly prices: Repository<Price>) {}

  @OnMessage(PriceChanged, { name: 'prices.project', batchSize: 100, timeout: '5s' })
  @Retry(5)
  @Idempotent()
  @Transactional()
  async project({ sku, cents }: PriceChanged): Promise<void> {
    await this.prices.upsert({ sku, cents }, ['sku']);
  }
}
