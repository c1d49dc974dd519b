import { Message } from '@holdfast/nest';

/** A customer wants to travel: the first message of a saga. */
@Message('trip.requested')
export class TripRequested {
  constructor(readonly trip: string) {}
}

/** There is a bed for the traveller. */
@Message('room.booked')
export class RoomBooked {
  constructor(readonly trip: string) {}
}
