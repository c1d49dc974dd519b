import { type Delivery, MessageBus, OnMessage, SagaAborted, Transactional } from '@holdfast/nest';
import { Injectable, Module } from '@nestjs/common';
import { TripRequested } from './messages.js';
import { service } from './service.js';

/** The front door. */
@Injectable()
export class Trips {
  constructor(private readonly bus: MessageBus) {}

  /** Everything that follows from this message belongs to the saga of the trip. */
  async request(trip: string): Promise<void> {
    await this.bus.publish(new TripRequested(trip), { sagaId: trip });
  }

  async cancel(trip: string): Promise<void> {
    await this.bus.publish(new SagaAborted('the customer stays at home'), { sagaId: trip });
  }
}

/** Anyone may listen to the abort. */
@Injectable()
export class Mail {
  /** Why trips are off, by trip. */
  readonly sent = new Map<string, string>();

  @OnMessage(SagaAborted, { name: 'mail.trip-is-off', from: 'earliest' })
  @Transactional()
  async tell({ reason }: SagaAborted, { sagaId }: Delivery): Promise<void> {
    this.sent.set(String(sagaId), reason);
  }
}

/** A service. */
@Module({ imports: service('trips'), providers: [Trips, Mail] })
export class TripsModule {}
