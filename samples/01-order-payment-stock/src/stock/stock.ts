import { Compensate, Idempotent, NonRetryableError, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { MoreThan, Repository } from 'typeorm';
import { ReleaseStock, ReserveStock } from '../contract/index.js';
import { Reservation } from './reservation.entity.js';
import { Shelf } from './shelf.entity.js';

const LAMP = { article: 'lamp' };

@Injectable()
export class Stock {
  constructor(
    @InjectRepository(Reservation) private readonly reservations: Repository<Reservation>,
    @InjectRepository(Shelf) private readonly shelves: Repository<Shelf>,
  ) {}

  @OnMessage(ReserveStock, { name: 'stock.reserve' })
  @Retry(5)
  @Idempotent()
  @Transactional()
  async reserve({ orderId }: ReserveStock): Promise<void> {
    await this.reservations.insert({ orderId });
    const { affected } = await this.shelves.decrement({ ...LAMP, pieces: MoreThan(0) }, 'pieces', 1);
    if (affected === 0) throw new NonRetryableError('sold out');
  }

  /** Called once, and only if `reserve` ran. If it did not, there is nothing to release, and a late ReserveStock is dropped. */
  @OnMessage(ReleaseStock, { name: 'stock.release' })
  @Compensate(ReserveStock)
  @Retry(10)
  @Idempotent()
  @Transactional()
  async release({ orderId }: ReleaseStock): Promise<void> {
    await this.reservations.delete({ orderId });
    await this.shelves.increment(LAMP, 'pieces', 1);
  }
}
