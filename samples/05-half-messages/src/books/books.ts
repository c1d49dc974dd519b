import { Idempotent, OnMessage, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { Sold } from '../sold.js';
import { Booking } from './booking.entity.js';

@Injectable()
export class Books {
  constructor(@InjectRepository(Booking) private readonly bookings: Repository<Booking>) {}

  /** An ordinary handler: it cannot tell a half message from another one. */
  @OnMessage(Sold, { name: 'books.enter' })
  @Idempotent()
  @Transactional()
  async enter({ saleId }: Sold): Promise<void> {
    await this.bookings.insert({ saleId });
  }
}
