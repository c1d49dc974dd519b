// Wrong uses that must not compile. Each `@ts-expect-error` says what the user meant; tsc reports it as unused the day the error is gone.
import { Injectable } from '@nestjs/common';
import { Durable, OnMessage } from '@holdfast/nest';
import { ChargeCard, OrderPlaced, OrderShipped, RefundCard } from './messages.js';

@Injectable()
export class Handlers {
  // @ts-expect-error meant `(event: OrderPlaced)`: the parameter is another message
  @OnMessage(OrderPlaced, { name: 'a' })
  async anotherClass(_event: OrderShipped): Promise<void> {}

  // @ts-expect-error meant `OrderPlaced | OrderShipped`: it takes one of the two it subscribes to
  @OnMessage([OrderPlaced, OrderShipped], { name: 'b' })
  async oneOfTwo(_event: OrderPlaced): Promise<void> {}

  // @ts-expect-error meant to name the subscription: an event's handler needs a durable name
  @OnMessage(OrderPlaced)
  async noName(_event: OrderPlaced): Promise<void> {}

  // @ts-expect-error meant to name the subscription: two commands give no default
  @OnMessage([ChargeCard, RefundCard])
  async twoCommands(command: ChargeCard | RefundCard): Promise<{ paymentId: string }> {
    return { paymentId: command.orderId };
  }

  // @ts-expect-error meant `Delivery` as the second parameter
  @OnMessage(OrderPlaced, { name: 'c' })
  async wrongSecond(_event: OrderPlaced, _context: { getMessage(): object }): Promise<void> {}

  // @ts-expect-error meant `{ paymentId: string }`: the reply has another shape
  @OnMessage(ChargeCard)
  async wrongReply(_command: ChargeCard): Promise<{ id: number }> {
    return { id: 1 };
  }

  // @ts-expect-error meant to return the reply
  @OnMessage(ChargeCard)
  async noReply(_command: ChargeCard): Promise<void> {}

  // @ts-expect-error meant `concurrency`: an unknown option
  @OnMessage(OrderPlaced, { name: 'd', concurency: 5 })
  async unknownOption(_event: OrderPlaced): Promise<void> {}

  // @ts-expect-error meant `ordering: 'key'` with it: only an ordered subscription can be blocked
  @OnMessage(OrderPlaced, { name: 'e', onDeadLetter: 'skip' })
  async blocksWithoutOrder(_event: OrderPlaced): Promise<void> {}

  // @ts-expect-error meant 'key': order over everything is not offered
  @OnMessage(OrderPlaced, { name: 'f', ordering: 'global' })
  async globalOrder(_event: OrderPlaced): Promise<void> {}

  // @ts-expect-error meant 'earliest': the word of another library
  @OnMessage(OrderPlaced, { name: 'g', from: 'beginning' })
  async fromBeginning(_event: OrderPlaced): Promise<void> {}

  // @ts-expect-error meant a durable name for this @EventPattern handler
  @Durable({ ordering: 'key' })
  async nestHandler(_event: OrderPlaced): Promise<void> {}
}
