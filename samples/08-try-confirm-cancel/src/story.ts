import { setTimeout as sleep } from 'node:timers/promises';
import { Branches, type BranchInfo } from '@holdfast/nest';
import type { INestApplicationContext } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CardGateway } from './travel/card-gateway.js';
import { Night, Trip } from './travel/entities.js';
import { PRICE, Trips } from './travel/trips.js';

const NIGHT = '2027-06-01';
const ROOMS = 3;

/** What the account at the end is made of. */
export interface Totals {
  readonly trips: number;
  readonly sold: number;
  readonly free: number;
  readonly captured: number;
  /** Rooms and money that are missing, there twice, or held for nobody. */
  readonly lost: number;
}

/** Trips that are booked, trips that are not, and one whose money needs a person. */
export class Story {
  private readonly trips: Trips;
  private readonly branches: Branches;
  private readonly gateway: CardGateway;
  private readonly dataSource: DataSource;

  constructor(
    app: INestApplicationContext,
    private readonly say: (line: string) => void,
  ) {
    this.trips = app.get(Trips);
    this.branches = app.get(Branches);
    this.gateway = app.get(CardGateway);
    this.dataSource = app.get(DataSource);
  }

  async goodAndBad(): Promise<void> {
    await this.dataSource.getRepository(Night).insert({ date: NIGHT, free: ROOMS });
    this.say(`1. ${ROOMS} rooms. Ann books; Ben's card is refused; Ann's second click comes too late.`);
    await this.book('t-1', 'card of ann');
    await this.book('t-2', 'empty');
    await this.book('t-1', 'card of ann');
  }

  /** The unit has committed, so the money is due: it is tried until a person has to look. */
  async park(): Promise<BranchInfo> {
    this.say('\n2. Cleo books, and the card provider closes before her money is taken.');
    const capture = this.gateway.capture.bind(this.gateway);
    this.gateway.capture = async (...args) => {
      this.gateway.isClosed = true;
      return capture(...args);
    };
    await this.book('t-3', 'card of cleo');
    const [parked] = (await this.branches.list({ status: 'parked' })).items;
    if (parked === undefined) throw new Error('no branch is parked');
    this.say(`   parked: ${parked.operation} of ${parked.method} ${JSON.stringify(parked.arguments)}: ${parked.failure?.message}`);
    return parked;
  }

  async repair({ id }: BranchInfo): Promise<Totals> {
    this.say('\n3. The card provider is open again, and a person has it tried again.');
    this.gateway.capture = CardGateway.prototype.capture;
    this.gateway.isClosed = false;
    await this.branches.retry(id, { by: 'anna', reason: 'the provider is open' });
    await this.settled();
    this.say(`   it is ${(await this.branches.get(id))?.status}`);
    return this.totals();
  }

  private async book(id: string, card: string): Promise<void> {
    const outcome = await this.trips.book(id, NIGHT, card).then(
      () => 'booked',
      (error: Error) => `not booked: ${error.message.split('\n')[0]}`,
    );
    await this.settled();
    const { free, held, sold } = await this.dataSource.getRepository(Night).findOneByOrFail({ date: NIGHT });
    this.say(`   ${id} is ${outcome}; rooms: ${free} free, ${held} held, ${sold} sold; money: ${this.gateway.sum('captured')} taken`);
  }

  /** Confirm and cancel come after the unit of work, so whoever wants to see them waits. */
  private async settled(): Promise<void> {
    for (;;) {
      const { items } = await this.branches.list();
      if (items.every(({ status }) => ['confirmed', 'cancelled', 'parked'].includes(status))) return;
      await sleep(20);
    }
  }

  private async totals(): Promise<Totals> {
    const trips = await this.dataSource.getRepository(Trip).count();
    const { free, held, sold } = await this.dataSource.getRepository(Night).findOneByOrFail({ date: NIGHT });
    const captured = this.gateway.sum('captured');
    const lost =
      Math.abs(ROOMS - free - sold) + held + Math.abs(sold - trips) + Math.abs(captured - trips * PRICE) + this.gateway.sum('held');
    return { trips, sold, free, captured, lost };
  }
}
