import { emit, hfError, Keeper, type KeeperContext, type Logger, type StartTerms, type TransportHealth } from '@holdfast/core';
import { Connection } from './connection.js';
import type { BrokerNode, Settings } from './settings.js';

/** What the two connections have in common, and what tells them apart. */
export interface LinkParts {
  readonly context: KeeperContext;
  readonly settings: Settings;
  readonly logger: Logger;
  readonly connection: 'publish' | 'consume';
  /** Shown by the broker's tools. */
  readonly name: string;
  /** The broker takes messages again. */
  readonly unblocked: () => void;
}

/** Name of the transport, for events and the start-up line. */
export const TRANSPORT = 'rabbitmq';

/** A connection that is kept: one generation after the other. What needs it waits for the one that is open. */
export class Link {
  private readonly keeper: Keeper;
  private current: Connection | undefined;
  private generation = 0;
  /** Counts the nodes that were tried and lost. */
  private turn = 0;
  /** Why there is no connection, or what the broker says while it takes nothing. */
  private problem: string | undefined;
  private readonly waiting = new Set<(connection: Connection) => void>();

  constructor(private readonly parts: LinkParts) {
    this.keeper = new Keeper(parts.context, {
      what: 'a connection',
      open: (signal) => this.open(signal),
      failed: (error, delayMs) => this.failed(error, delayMs),
    });
  }

  /** Resolves with the first connection. @throws HF_BROKER_REFUSED at once, HF_BROKER_UNREACHABLE at the time-out */
  start(terms: StartTerms): Promise<void> {
    return this.keeper.start(terms);
  }

  /** Of this connection. */
  get health(): TransportHealth {
    const { connection, address } = this.facts();
    const problem = `the connection to ${connection} at ${address}${this.problem ? `: ${this.problem}` : ''}`;
    if (this.current === undefined) return { status: 'down', problem };
    return this.current.isBlocked ? { status: 'blocked', problem } : { status: 'up', problem: undefined };
  }

  stop(): Promise<void> {
    return this.keeper.stop();
  }

  /** After `stop`: a broker that does not answer must not keep the process. */
  drop(): void {
    this.current?.drop(hfError('HF_STOPPING', { activity: 'the end of a connection' }));
  }

  /** The connection that is open, or the next one. Rejects with the signal's reason when that is aborted first. */
  async connected(signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted();
    if (this.current !== undefined) return this.current;
    return new Promise((resolve, reject) => {
      const stop = () => {
        this.waiting.delete(give);
        reject(signal.reason);
      };
      const give = (connection: Connection) => {
        signal.removeEventListener('abort', stop);
        resolve(connection);
      };
      this.waiting.add(give);
      signal.addEventListener('abort', stop, { once: true });
    });
  }

  private async open(signal: AbortSignal): Promise<Connection> {
    const { context, settings, name } = this.parts;
    const connection = await Connection.open({ context, settings, node: this.node, name, blocked: (reason) => this.told(reason) }, signal);
    this.generation += 1;
    this.current = connection;
    void connection.lost.then(() => {
      if (this.current === connection) this.current = undefined;
    });
    this.problem = undefined;
    emit('broker:connected', () => ({ ...this.facts(), generation: this.generation }));
    for (const give of this.waiting) give(connection);
    this.waiting.clear();
    return connection;
  }

  private failed(error: unknown, delayMs: number): void {
    this.problem = error instanceof Error ? error.message : String(error);
    const facts = { ...this.facts(), error, delayMs };
    emit('broker:disconnected', () => facts);
    this.parts.logger.warn('there is no connection to the broker; it is tried again', facts);
    this.turn += 1;
  }

  private told(reason: string | undefined): void {
    const { logger } = this.parts;
    this.problem = reason;
    if (reason === undefined) {
      emit('broker:unblocked', () => this.facts());
      logger.info('the broker takes messages again', this.facts());
      this.parts.unblocked();
    } else {
      emit('broker:blocked', () => ({ ...this.facts(), reason }));
      logger.warn('the broker takes no messages; publishing waits', { ...this.facts(), reason });
    }
  }

  private get node(): BrokerNode {
    const { nodes } = this.parts.settings;
    return nodes[this.turn % nodes.length] as BrokerNode;
  }

  private facts() {
    return { transport: TRANSPORT, connection: this.parts.connection, address: this.node.address };
  }
}
