import { emit, hfError, Keeper, type KeeperContext, type Logger, type ReceivedReply, type StartTerms } from '@holdfast/core';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { OpenChannel } from './connection.js';
import type { Link } from './link.js';
import { refusalOf } from './topology.js';
import { fromWire } from './wire.js';

/** Replies on their way to us, at most: they are only handed over. */
const PREFETCH = 256;
/** Answers of the broker to a name that cannot be had: its queue is on a node that is away, or is somebody's own. */
const OUT_OF_REACH = [404, 405];
/** How long the queue of a process that has gone stays, and with it a reply to one that lost its connection. */
const EXPIRES_MS = 600_000;

/** What a place for replies works with. */
export interface ReplyQueueParts {
  readonly context: KeeperContext & { readonly nodeId: string };
  readonly logger: Logger;
  readonly link: Link;
  /** Begin of its name, as of all queues of the bus. */
  readonly exchange: string;
  readonly receive: (reply: ReceivedReply) => void;
  /** Told of the name that takes the place of the one before. */
  readonly moved: (name: string) => void;
}

/**
 * The queue of one process for the replies to its requests: durable, so that what comes while its connection is away is there when it is back, and
 * expiring, because nobody tidies up after a process that was killed. It is on one node of a cluster; when that is away, another queue takes its place.
 */
export class ReplyQueue {
  /** The address of this process. A service has a name, so no subscription's queue has two signs in a row. */
  name: string;
  /** How many names it has had. */
  private names = 1;
  private isMoving = false;
  private readonly keeper: Keeper;
  private channel: OpenChannel<Channel> | undefined;
  private isStopping = false;

  constructor(private readonly parts: ReplyQueueParts) {
    this.name = `${parts.exchange}//replies/${parts.context.nodeId}`;
    this.keeper = new Keeper(parts.context, {
      what: `the queue ${this.name}`,
      open: (signal) => this.open(signal),
      failed: (error, delayMs) => {
        emit('poll:failed', { loop: 'replies', error, delayMs });
        parts.logger.warn('replies cannot be received just now; it is tried again', { queue: this.name, error, delayMs });
      },
    });
  }

  /** Resolves when the broker has accepted the consumer. @throws HF_BROKER_TOPOLOGY at once, else the last error at the time-out */
  start(terms: StartTerms): Promise<void> {
    return this.keeper.start(terms);
  }

  /** Nobody waits any more: the queue goes, with what is in it. */
  async stop(): Promise<void> {
    this.isStopping = true;
    if (this.channel?.isOpen) await this.remove(this.channel);
    await this.keeper.stop();
  }

  private async remove(open: OpenChannel<Channel>): Promise<void> {
    await open.answer('the end of a queue', open.channel.deleteQueue(this.name)).catch(() => undefined);
  }

  private async open(signal: AbortSignal): Promise<OpenChannel<Channel>> {
    const connection = await this.parts.link.connected(signal);
    const open = await connection.openChannel();
    const { channel } = open;
    try {
      const terms = { durable: true, arguments: { 'x-queue-type': 'classic', 'x-expires': EXPIRES_MS } };
      await open.answer('a queue for replies', channel.assertQueue(this.name, terms));
      await open.answer('a prefetch', channel.prefetch(PREFETCH));
      await open.answer(
        'a consumer',
        channel.consume(this.name, (message) => this.received(open, message)),
      );
    } catch (error) {
      await open.end();
      if (!OUT_OF_REACH.includes((error as { readonly code: number }).code)) throw refusalOf(error, `the queue ${this.name}`);
      this.rename();
      throw error;
    }
    this.channel = open;
    // The end came meanwhile, and found no queue.
    if (this.isStopping) await this.remove(open);
    if (this.isMoving) this.parts.moved(this.name);
    this.isMoving = false;
    return open;
  }

  /** What is on its way to the one before is lost, and those who wait for it run into their time-out. */
  private rename(): void {
    const { exchange, context } = this.parts;
    this.names += 1;
    this.name = `${exchange}//replies/${context.nodeId}/${this.names}`;
    this.isMoving = true;
  }

  private received(open: OpenChannel<Channel>, message: ConsumeMessage | null): void {
    if (message === null) {
      if (!this.isStopping) open.lose(hfError('HF_BROKER_CONSUMER_CANCELLED', { subscription: 'replies', queue: this.name }));
      return;
    }
    const { attributes, body } = fromWire(message, { place: this.name, receivedAt: this.parts.context.clock.now() });
    this.parts.receive({ attributes, body });
    if (open.isOpen) open.channel.ack(message);
  }
}
