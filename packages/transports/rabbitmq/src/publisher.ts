import {
  emit,
  type Envelope,
  hfError,
  type HoldfastError,
  Keeper,
  type KeeperContext,
  type Logger,
  type PublishOutcome,
  type StartTerms,
} from '@holdfast/core';
import type { Channel, Options } from 'amqplib';
import type { Connection, OpenChannel } from './connection.js';
import type { Link } from './link.js';
import type { Settings } from './settings.js';
import type { Topology } from './topology.js';
import { publishOptions, TAG, toWire } from './wire.js';

/** Brings messages to the broker, and knows of each what became of it. Messages wait while there is no channel and while the broker takes none. */
export interface Publisher {
  /** Something waits, or is on its way. */
  readonly isBusy: boolean;
  /** Resolves when it can publish. @throws HF_BROKER_TOPOLOGY at once, else the last error at the time-out */
  start(terms: StartTerms): Promise<void>;
  /**
   * One outcome per message, in order, within the confirm's time-out. Within a key the order is that of the batch; after one that is rejected, or not
   * known to have arrived, those behind it are not sent: they are `unknown`.
   */
  publish(batch: readonly Envelope[]): Promise<readonly PublishOutcome[]>;
  /** Publishes something that is no message of the bus, to any exchange. */
  put(parcel: Parcel): Promise<PublishOutcome>;
  /** The broker takes messages again. */
  resume(): void;
  /** Sends nothing new from now on, and waits for what is sent to be answered. */
  drain(): Promise<void>;
  /** Lets go of the channel: what is not answered has an unknown outcome. */
  stop(): Promise<void>;
}

/** What a publisher works with. */
export interface PublisherParts {
  readonly context: KeeperContext;
  readonly settings: Settings;
  readonly logger: Logger;
  readonly link: Link;
  readonly topology: Topology;
}

/** A message as it is written, but for the tag by which the broker's word about it is known. */
export interface Parcel {
  readonly exchange: string;
  readonly routingKey: string;
  readonly content: Buffer;
  readonly options: Options.Publish;
}

/** A message on its way out. */
export interface Outgoing {
  readonly key: string | undefined;
  /** What it is, for the log. */
  readonly about: { readonly type: string; readonly id: string };
  /** Made when it is written, since what waits is not there twice, with the tag by which the broker's word about it is known. */
  parcel(tag: number): Parcel;
  /** Told of what was not confirmed. */
  tell(outcome: Exclude<PublishOutcome, 'confirmed'>, error: unknown): void;
}

/** Keeps a channel to publish on, while the exchange is there. */
export function keepChannel<C extends Channel>(
  { context, logger, link, topology }: PublisherParts,
  open: (connection: Connection) => Promise<OpenChannel<C>>,
): Keeper {
  return new Keeper(context, {
    what: 'a channel to publish on',
    open: async (signal) => {
      const connection = await link.connected(signal);
      await topology.checkExchange(connection);
      return open(connection);
    },
    failed: (error, delayMs) => {
      emit('poll:failed', { loop: 'publishing', error, delayMs });
      logger.warn('nothing can be published just now; it is tried again', { error, delayMs });
    },
  });
}

/** A message of the bus. */
export function outgoing(envelope: Envelope, busExchange: string): Outgoing {
  const { id, source, type, key } = envelope;
  return {
    key,
    about: envelope,
    parcel: (tag) => {
      const message = toWire(envelope, tag);
      const { isDirect, routingKey, content } = message;
      return { exchange: isDirect ? '' : busExchange, routingKey, content, options: publishOptions(message) };
    },
    tell: (outcome, error) => emit('message:unconfirmed', () => ({ id, source, type, key, outcome, error })),
  };
}

/** Something that is no message of the bus. */
export function outgoingParcel(parcel: Parcel): Outgoing {
  return { key: undefined, about: { type: parcel.routingKey, id: '' }, parcel: (tag) => tagged(parcel, tag), tell: () => undefined };
}

function tagged({ options, ...parcel }: Parcel, tag: number): Parcel {
  return { ...parcel, options: { ...options, headers: { ...options.headers, [TAG]: tag } } };
}

/** A message is refused for what it is: amqplib cannot encode it, or the broker does not take it. */
export function tellUnwritable(logger: Logger, { about: { type, id } }: Outgoing, error: unknown): void {
  logger.error('a message cannot be sent over AMQP', { type, id, error });
}

/** The broker has not answered for a message in time. */
export function unanswered({ settings }: PublisherParts): HoldfastError {
  return hfError('HF_BROKER_UNANSWERED', { request: 'a confirm', timeoutMs: settings.confirmTimeoutMs });
}
