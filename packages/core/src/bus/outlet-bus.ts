import type { Command, EventMessage, MessageRef } from '../message/message.js';
import type { Envelope } from '../message/envelope.js';
import { emit } from '../monitoring/events.js';
import { MessageBus, type PublishOptions, type SendOptions } from './message-bus.js';
import { type Outgoing, outgoing, type OutgoingContext } from './outgoing.js';

/** Where the bus leaves its messages. */
export interface Outlet {
  /** Accepts a message for the unit in scope, or sends it on its own way. @throws HF_CAPABILITY_UNSUPPORTED when it cannot keep `due` */
  accept(message: Outgoing): Promise<void>;
}

/** The bus over an outlet: the outbox of a store, or a transport's confirm where there is no store. */
export class OutletBus extends MessageBus {
  constructor(
    private readonly context: OutgoingContext,
    private readonly outlet: Outlet,
  ) {
    super();
  }

  publish(event: EventMessage, options: PublishOptions = {}): Promise<MessageRef> {
    return this.dispatch(event, options, 'event');
  }

  send(command: Command<unknown>, options: SendOptions = {}): Promise<MessageRef> {
    return this.dispatch(command, options, 'command');
  }

  private async dispatch(message: object, options: PublishOptions, kind: Envelope['kind']): Promise<MessageRef> {
    const made = await outgoing(this.context, message, { options, kind });
    await this.outlet.accept(made);
    const { id, source, type, key, destination = type, body } = made.envelope;
    emit('message:published', () => ({ id, source, type, key, kind, destination, bytes: body.byteLength }));
    return { id, source };
  }
}
