// Wrong uses that must not compile. Each `@ts-expect-error` says what the user meant; tsc reports it as unused the day the error is gone.
import {
  Compensate,
  type Delivery,
  Holdfast,
  Idempotent,
  Message,
  MessageBus,
  OnMessage,
  SagaAborted,
  Transactional,
} from '@holdfast/nest';

@Message('trip.requested')
class TripRequested {
  constructor(
    readonly tripId: string,
    readonly days: number,
  ) {}
}

@Message('hotel.booked')
class HotelBooked {
  constructor(
    readonly tripId: string,
    readonly room: string,
  ) {}
}

class Hotels {
  @OnMessage(TripRequested, { name: 'hotels.book' })
  // @ts-expect-error meant 'cancel': a typing error
  @Compensate('cancle')
  @Idempotent()
  @Transactional()
  async book(_event: TripRequested): Promise<void> {}

  @OnMessage(TripRequested, { name: 'hotels.clean' })
  // @ts-expect-error meant a method that takes the message of the handler
  @Compensate('unbook')
  async clean(_event: TripRequested): Promise<void> {}

  @OnMessage(TripRequested, { name: 'hotels.count' })
  // @ts-expect-error meant a public method: a private one cannot be called
  @Compensate('hidden')
  async count(_event: TripRequested): Promise<void> {}

  @OnMessage(TripRequested, { name: 'hotels.feed' })
  // @ts-expect-error meant the delivery behind the message, which is all it is given
  @Compensate('starve')
  async feed(_event: TripRequested): Promise<void> {}

  // Those that are right: with the delivery, also where the handler has none, and without.
  @OnMessage(TripRequested, { name: 'hotels.greet' })
  @Compensate('regret')
  async greet(_event: TripRequested): Promise<void> {}

  @OnMessage(TripRequested, { name: 'hotels.wake' })
  @Compensate('cancel')
  async wake(_event: TripRequested, _delivery: Delivery): Promise<void> {}

  async cancel(_event: TripRequested): Promise<void> {}

  async regret(_event: TripRequested, _delivery: Delivery): Promise<void> {}

  async unbook(_event: HotelBooked): Promise<void> {}

  async starve(_event: TripRequested, _reason: string): Promise<void> {}

  // biome-ignore lint/correctness/noUnusedPrivateClassMembers: it is what must not be named
  private async hidden(_event: TripRequested): Promise<void> {}
}

declare const bus: MessageBus;
declare const holdfast: Holdfast;
declare const hotels: Hotels;
const rest = { idempotent: true, transactional: true } as const;

// @ts-expect-error meant `String(42)`: the id of a saga is a text
bus.publish(new TripRequested('t-1', 3), { sagaId: 42 });
// @ts-expect-error meant `sagaId`: a typing error
bus.publish(new SagaAborted('too dear'), { sagaID: 't-1' });
// @ts-expect-error meant a reason: people want to know why
new SagaAborted();
// @ts-expect-error meant `undo`, and options: a method is not a policy
holdfast.on(TripRequested, hotels.book, { name: 'hotels.book', compensate: hotels.cancel, ...rest });
// @ts-expect-error meant a function that takes the message of the handler
holdfast.on(TripRequested, hotels.book, { name: 'hotels.book', compensate: { undo: hotels.unbook }, ...rest });
