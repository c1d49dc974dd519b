import { Compensate, Idempotent, MessageBus, OnMessage, SagaAborted, Transactional } from '@holdfast/nest';
import { Injectable, Module } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Column, Entity, MoreThan, PrimaryColumn, Repository } from 'typeorm';
import { RoomBooked } from './messages.js';
import { service } from './service.js';

/** A plane, and how many of its seats are free. */
@Entity()
export class Plane {
  @PrimaryColumn() flight!: string;
  @Column('int') seats!: number;
}

/** A seat of a trip. */
@Entity()
export class Ticket {
  @PrimaryColumn() trip!: string;
}

/** The airline's part of a trip. When there is no seat, the trip is off. */
@Injectable()
export class Flights {
  constructor(
    @InjectRepository(Plane) private readonly planes: Repository<Plane>,
    @InjectRepository(Ticket) private readonly tickets: Repository<Ticket>,
    private readonly bus: MessageBus,
  ) {}

  @OnMessage(RoomBooked, { name: 'flights.book', from: 'earliest' })
  @Compensate('giveBack')
  @Idempotent()
  @Transactional()
  async book({ trip }: RoomBooked): Promise<void> {
    const { affected } = await this.planes.decrement({ flight: 'HF 1', seats: MoreThan(0) }, 'seats', 1);
    if (affected === 1) await this.tickets.insert({ trip });
    else await this.bus.publish(new SagaAborted('the plane is full'));
  }

  /** Also called for a trip that got no seat: `book` committed then, too. */
  async giveBack({ trip }: RoomBooked): Promise<void> {
    const { affected } = await this.tickets.delete(trip);
    if (affected === 1) await this.planes.increment({ flight: 'HF 1' }, 'seats', 1);
  }
}

/** A service. */
@Module({ imports: service('flights', [Plane, Ticket]), providers: [Flights] })
export class FlightsModule {}
