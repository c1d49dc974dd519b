import type { Command, EventMessage, MessageRef } from '../message/message.js';
import { describeMessage } from '../message/message-class.js';
import { emit } from '../monitoring/events.js';
import type { Requests } from '../reply/requests.js';
import { type Duration, toMs } from '../time/duration.js';
import { routeOf } from '../transport/route.js';
import { MessageBus, type PublishOptions, type RequestOptions, type SendOptions } from './message-bus.js';
import { type Outgoing, outgoing, type OutgoingContext } from './outgoing.js';

/** Where the bus leaves its messages. */
export interface Outlet {
  /** Accepts a message for the unit in scope, or sends it on its own way, which takes a while. @throws HF_CAPABILITY_UNSUPPORTED when it cannot keep `due` */
  accept(message: Outgoing): Promise<void> | undefined;
}

const DEFAULT_REQUEST_TIMEOUT: Duration = '30s';

/** The bus over an outlet: the outbox of a store, or a transport's confirm where there is no store. */
export class OutletBus extends MessageBus {
  constructor(
    private readonly context: OutgoingContext,
    private readonly outlet: Outlet,
    private readonly requests: Requests,
  ) {
    super();
  }

  publish(event: EventMessage, options: PublishOptions = {}): Promise<MessageRef> {
    return this.leave(() => outgoing(this.context, event, { options, kind: 'event' }));
  }

  send(command: Command<unknown>, options: SendOptions = {}): Promise<MessageRef> {
    return this.leave(() => outgoing(this.context, command, { options, kind: 'command' }));
  }

  async request<Reply>(command: Command<Reply>, { timeout, signal, ...options }: RequestOptions = {}): Promise<Reply> {
    const { type, destination } = describeMessage(command);
    const reply = await this.requests.ask({
      type,
      transport: routeOf(this.context.transports, options.destination ?? destination, type).transport,
      timeoutMs: toMs(timeout ?? DEFAULT_REQUEST_TIMEOUT, 'timeout'),
      signal,
      make: async (replyTo) => outgoing(this.context, command, { options, kind: 'command', replyTo }),
      leave: async (made) => void (await this.leave(() => made)),
    });
    return reply as Reply;
  }

  private async leave(make: () => Outgoing | Promise<Outgoing>): Promise<MessageRef> {
    const making = make();
    return leaveWith(this.outlet, making instanceof Promise ? await making : making);
  }
}

/** Leaves a message with an outlet, and tells of it. */
export async function leaveWith(outlet: Outlet, made: Outgoing): Promise<MessageRef> {
  const accepted = outlet.accept(made);
  if (accepted) await accepted;
  const { transport } = made;
  const { id, source, type, key, kind, destination = type, body } = made.envelope;
  emit('message:published', () => ({ id, source, type, key, kind, transport, destination, bytes: body.byteLength }));
  return { id, source };
}
