import { Command, Message } from '@holdfast/nest';

/** Names no transport: it goes over the default, RabbitMQ, to whoever takes payments. */
@Message('payment.charge')
export class ChargeCard extends Command {
  constructor(
    readonly orderId: string,
    readonly amount: number,
  ) {
    super();
  }
}

/** Goes to the address `orders` of the transport `events`: a topic of Kafka. */
@Message('order.placed', { destination: 'events:orders' })
export class OrderPlaced {
  constructor(
    readonly orderId: string,
    readonly amount: number,
  ) {}
}
