import { Compensate, Idempotent, MessageBus, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { Injectable, Module } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Column, Entity, PrimaryColumn, Repository } from 'typeorm';
import { RoomBooked, TripRequested } from './messages.js';
import { service } from './service.js';

/** A hotel, and how many of its rooms are free. */
@Entity()
export class Hotel {
  @PrimaryColumn() name!: string;
  @Column('int') rooms!: number;
}

/** A room of a trip. */
@Entity()
export class Stay {
  @PrimaryColumn() trip!: string;
  @Column() status!: 'booked' | 'cancelled';
}

/** The hotel's part of a trip, and how it is undone. */
@Injectable()
export class Hotels {
  /** Nobody takes a cancellation. */
  isReceptionClosed = false;

  constructor(
    @InjectRepository(Hotel) private readonly hotels: Repository<Hotel>,
    @InjectRepository(Stay) private readonly stays: Repository<Stay>,
    private readonly bus: MessageBus,
  ) {}

  @OnMessage(TripRequested, { name: 'hotels.book', from: 'earliest' })
  @Compensate('cancel')
  @Idempotent()
  @Transactional()
  async book({ trip }: TripRequested): Promise<void> {
    await this.hotels.decrement({ name: 'Central' }, 'rooms', 1);
    await this.stays.insert({ trip, status: 'booked' });
    await this.bus.publish(new RoomBooked(trip));
  }

  /** Runs only if `book` committed, once, in a transaction of its own. Tried twice; then a person looks at it. */
  @Retry({ attempts: 2, backoff: { delay: '50ms' } })
  async cancel({ trip }: TripRequested): Promise<void> {
    if (this.isReceptionClosed) throw new Error('the reception is closed');
    await this.hotels.increment({ name: 'Central' }, 'rooms', 1);
    await this.stays.update(trip, { status: 'cancelled' });
  }
}

/** A service. */
@Module({ imports: service('hotels', [Hotel, Stay]), providers: [Hotels] })
export class HotelsModule {}
