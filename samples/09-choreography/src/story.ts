import { setTimeout } from 'node:timers/promises';
import { DeadLetters } from '@holdfast/nest';
import type { INestApplicationContext } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Plane, Ticket } from './travel/flights.js';
import { Hotel, Hotels, Stay } from './travel/hotels.js';
import { Mail, Trips } from './travel/trips.js';

const ROOMS = 10;
const SEATS = 3;
const CUSTOMERS = ['ann', 'ben', 'cleo', 'dan'];
const UNDO = 'hotels.book.undo';

/** The three services. */
export interface Services {
  readonly trips: INestApplicationContext;
  readonly hotels: INestApplicationContext;
  readonly flights: INestApplicationContext;
}

/** What the account at the end is made of. */
export interface Totals {
  readonly trips: number;
  readonly flying: number;
  readonly off: number;
  readonly parked: number;
  /** Rooms and seats that are missing, or there twice. */
  readonly lost: number;
}

/** Trips that go well, one that cannot be done, and one whose undoing needs a person. */
export class Story {
  constructor(
    private readonly services: Services,
    private readonly say: (line: string) => void,
  ) {}

  async open(): Promise<void> {
    await this.of('hotels', Hotel).insert({ name: 'Central', rooms: ROOMS });
    await this.of('flights', Plane).insert({ flight: 'HF 1', seats: SEATS });
  }

  async book(): Promise<void> {
    this.say('1. Four customers want to travel, and the plane has three seats.');
    for (const trip of CUSTOMERS) {
      await this.services.trips.get(Trips).request(trip);
      await this.until(async () => (await this.isFlying(trip)) || (await this.isCancelled(trip)));
      await this.tell(trip);
    }
  }

  async changeOfMind(): Promise<void> {
    this.say('\n2. Ann stays at home.');
    await this.cancel('ann');
    await this.until(async () => (await this.isCancelled('ann')) && !(await this.isFlying('ann')));
    await this.tell('ann');
  }

  /** The reception is closed: what is to be undone there waits for a person. */
  async park(): Promise<void> {
    this.say('\n3. The reception is closed, and Ben stays at home, too.');
    this.services.hotels.get(Hotels).isReceptionClosed = true;
    await this.cancel('ben');
    await this.until(async () => (await this.parked()).length === 1 && !(await this.isFlying('ben')));
    for (const { subscription, message, error } of await this.parked())
      this.say(`   ${message.key} waits in ${subscription}, because ${error.message}`);
  }

  async repair(): Promise<Totals> {
    this.say('\n4. The reception is open again, and a person redrives what waits.');
    this.services.hotels.get(Hotels).isReceptionClosed = false;
    await this.services.hotels
      .get(DeadLetters)
      .redrive({ subscription: UNDO, key: 'ben' }, { by: 'anna', reason: 'the reception is open' });
    await this.until(() => this.isCancelled('ben'));
    await this.tell('ben');
    return this.totals();
  }

  private async cancel(trip: string): Promise<void> {
    await this.services.trips.get(Trips).cancel(trip);
  }

  private async tell(trip: string): Promise<void> {
    const { sent } = this.services.trips.get(Mail);
    if (await this.isFlying(trip)) this.say(`   ${trip} flies`);
    else {
      await this.until(async () => sent.has(trip));
      this.say(`   ${trip} gets a mail: ${sent.get(trip)}`);
    }
  }

  private isFlying(trip: string): Promise<boolean> {
    return this.of('flights', Ticket).existsBy({ trip });
  }

  private isCancelled(trip: string): Promise<boolean> {
    return this.of('hotels', Stay).existsBy({ trip, status: 'cancelled' });
  }

  private async parked() {
    return (await this.services.hotels.get(DeadLetters).list({ subscription: UNDO })).items;
  }

  private of<Row extends object>(service: keyof Services, entity: new () => Row) {
    return this.services[service].get(DataSource).getRepository(entity);
  }

  private async until(look: () => Promise<boolean>): Promise<void> {
    for (const end = Date.now() + 60_000; !(await look()); await setTimeout(20))
      if (Date.now() > end) throw new Error('it took more than a minute');
  }

  private async totals(): Promise<Totals> {
    const flying = await this.of('flights', Ticket).count();
    const off = await this.of('hotels', Stay).countBy({ status: 'cancelled' });
    const booked = await this.of('hotels', Stay).countBy({ status: 'booked' });
    const [hotel] = await this.of('hotels', Hotel).find();
    const [plane] = await this.of('flights', Plane).find();
    const rooms = ROOMS - booked - (hotel?.rooms ?? 0);
    const seats = SEATS - flying - (plane?.seats ?? 0);
    return {
      trips: CUSTOMERS.length,
      flying,
      off,
      parked: (await this.parked()).length,
      lost: Math.abs(rooms) + Math.abs(seats) + Math.abs(booked - flying),
    };
  }
}
