import { TryConfirmCancel } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { Night } from './entities.js';

/** Rooms in this database: hold one, then sell it or set it free. */
@Injectable()
export class Rooms {
  constructor(@InjectRepository(Night) private readonly nights: Repository<Night>) {}

  /** In a transaction of its own: others see at once that the room is held. */
  @TryConfirmCancel({ confirm: 'sell', cancel: 'setFree', timeout: '30s' })
  async hold(date: string): Promise<void> {
    const { affected } = await this.nights
      .createQueryBuilder()
      .update()
      .set({ free: () => 'free - 1', held: () => 'held + 1' })
      .where('date = :date and free > 0', { date })
      .execute();
    if (affected !== 1) throw new Error('no room is free');
  }

  async sell(date: string): Promise<void> {
    await this.nights.decrement({ date }, 'held', 1);
    await this.nights.increment({ date }, 'sold', 1);
  }

  /** Runs for a room that is held, and for no other: where `hold` failed, its rows are gone. */
  async setFree(date: string): Promise<void> {
    await this.nights.decrement({ date }, 'held', 1);
    await this.nights.increment({ date }, 'free', 1);
  }
}
