import { emit, Keeper, type Logger, type ReceivedReply, type StartTerms, type TransportContext } from '@holdfast/core';
import type { ReceivedMessage, RocketmqClient, RocketmqConsumer } from './client.port.js';
import type { Names } from './names.js';
import type { Publisher } from './publisher.js';
import type { RocketmqTopology } from './topology.js';
import { fromMessage } from './wire.js';

/** Of one receive. */
const MOST_RECEIVED = 32;
/** Before a broker that wants to be left alone for a while is asked again. */
const AGAIN_MS = 300;

/** What a place for replies works with. */
export interface RepliesParts {
  readonly context: TransportContext;
  readonly logger: Logger;
  readonly client: RocketmqClient;
  readonly names: Names;
  readonly topology: RocketmqTopology;
  readonly publisher: Publisher;
  readonly receive: (reply: ReceivedReply) => void;
}

/**
 * The replies to one process: the processes of a service share a topic, and each has a group that is given what has its tag, so that what comes while its
 * connection is away is there when it is back. A topic for each process would leave more behind when the process is killed.
 */
export class Replies {
  /** The address of this process. */
  readonly address: string;
  private readonly keeper: Keeper;
  private readonly topic: string;
  private readonly group: string;
  private receiving: Promise<void> = Promise.resolve();
  private isDraining = false;

  constructor(private readonly parts: RepliesParts) {
    const { context, names, logger } = parts;
    this.topic = names.replies();
    this.address = `${this.topic}/${context.nodeId}`;
    this.group = names.groupOfReplies(context.nodeId);
    this.keeper = new Keeper(context, {
      what: `the topic ${this.topic}`,
      open: (signal) => this.open(signal),
      failed: (error, delayMs) => {
        emit('poll:failed', { loop: 'replies', error, delayMs });
        logger.warn('replies cannot be received just now; it is tried again', { topic: this.topic, error, delayMs });
      },
    });
  }

  /** Resolves when replies that are sent from now on will be received. @throws HF_BROKER_TOPOLOGY at once, else the last error at the time-out */
  start(terms: StartTerms): Promise<void> {
    return this.keeper.start(terms);
  }

  /**
   * Asks for nothing any more, and waits for the receive that is on its way: one that the broker still has when the group is removed makes it again as it ends.
   * A message ends it at once, which else takes until its time is over.
   */
  async drain(): Promise<void> {
    this.isDraining = true;
    const { topic, parts } = this;
    const message = {
      topic,
      group: parts.context.nodeId,
      tag: parts.context.nodeId,
      body: Buffer.alloc(1),
      properties: new Map(),
      keys: [],
    };
    void parts.publisher.put(message);
    await this.receiving;
  }

  /** Nobody waits any more. */
  async stop(): Promise<void> {
    await this.keeper.stop();
    await this.parts.topology.removeGroup(this.group).catch(() => undefined);
  }

  private async open(signal: AbortSignal): Promise<RocketmqConsumer> {
    const { client, topology, context } = this.parts;
    await topology.haveReplies(this.topic, this.group);
    const consumer = await client.openConsumer({ group: this.group, topic: this.topic, tag: context.nodeId });
    // A request that comes behind the removal of the group would make it again.
    if (!signal.aborted) this.receiving = this.receive(consumer);
    return consumer;
  }

  private async receive(consumer: RocketmqConsumer): Promise<void> {
    let isLost = false;
    void consumer.lost.then(() => {
      isLost = true;
    });
    while (!isLost && !this.isDraining) {
      try {
        for (const message of await consumer.receive(MOST_RECEIVED)) this.received(consumer, message);
      } catch {
        // What it is lost with is told by the keeper.
        await this.parts.context.scheduler.sleep(AGAIN_MS);
      }
    }
  }

  private received(consumer: RocketmqConsumer, message: ReceivedMessage): void {
    // Nobody waits for a reply now, and this may be none.
    if (!this.isDraining) {
      const { attributes, body } = fromMessage(message);
      this.parts.receive({ attributes, body });
    }
    // Where that is lost it is received again, and nobody waits for it.
    consumer.ack(message).catch(() => undefined);
  }
}
