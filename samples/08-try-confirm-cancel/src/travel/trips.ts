import { Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { Cards } from './cards.js';
import { Trip } from './entities.js';
import { Rooms } from './rooms.js';

export const PRICE = 80;

/** Books trips. */
@Injectable()
export class Trips {
  constructor(
    @InjectRepository(Trip) private readonly trips: Repository<Trip>,
    private readonly rooms: Rooms,
    private readonly cards: Cards,
  ) {}

  /** Its COMMIT decides: the room is sold and the money taken, or both are given back. */
  @Transactional()
  async book(id: string, night: string, card: string): Promise<void> {
    await this.rooms.hold(night);
    await this.cards.hold(id, { card, amount: PRICE });
    await this.trips.insert({ id, night, card });
  }
}
