import { hfError, isHoldfastError, type KeeperContext, type Opened, printable, tlsReason, within } from '@holdfast/core';
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { type Channel, type ChannelModel, type ConfirmChannel, connect, IllegalOperationError, type SocketOptions } from 'amqplib';
import { type GatheringSocket, gatherWrites } from './gathered-writes.js';
import type { BrokerNode, Settings } from './settings.js';

const AMQPS_PORT = 5671;

/** What a connection is made with. */
export interface ConnectionParts {
  readonly context: KeeperContext;
  readonly settings: Settings;
  readonly node: BrokerNode;
  /** Shown by the broker's tools. */
  readonly name: string;
  /** The broker takes no messages, for a reason, or again. */
  readonly blocked: (reason: string | undefined) => void;
}

/** What amqplib keeps of the socket; not in its types, and the only way to let go of a connection whose other end is silent, or to write less often. */
interface WithStream {
  readonly stream?: GatheringSocket & { destroy(error: Error): void };
}

/** One connection, from its handshake to its end. What comes after it is another one. */
export class Connection implements Opened {
  readonly lost: Promise<unknown>;
  isBlocked = false;
  private isLost = false;
  private resolve: (error: unknown) => void = () => undefined;
  private reason: unknown;
  private ending: Promise<void> | undefined;
  private readonly channels = new Set<OpenChannel<Channel>>();

  /** @throws HF_BROKER_REFUSED, HF_BROKER_UNREACHABLE */
  static async open(parts: ConnectionParts, signal: AbortSignal): Promise<Connection> {
    const { context, settings, node, name } = parts;
    const timeoutMs = settings.requestTimeoutMs;
    const opening = new AbortController();
    const giveUp = () => opening.abort();
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      signal.throwIfAborted();
      const url = new URL(node.url);
      url.searchParams.set('heartbeat', String(settings.heartbeatS));
      const connecting = async () => {
        const below = url.protocol === 'amqps:' ? await belowTls(url, opening.signal) : undefined;
        // Handed on to the socket, so that one that is given up is closed.
        const socket: SocketOptions & ConnectionOptions & { signal?: AbortSignal } = {
          ...(below === undefined ? { signal: opening.signal } : { ...settings.tls, rejectUnauthorized: true, socket: below }),
          noDelay: true,
          clientProperties: { connection_name: name },
        };
        return new Connection(await connect(url.href, socket), parts);
      };
      return await within(context.scheduler, { request: 'a connection', timeoutMs }, connecting());
    } catch (error) {
      giveUp();
      throw explained(error, node.address);
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  private constructor(
    private readonly model: ChannelModel,
    private readonly parts: ConnectionParts,
  ) {
    this.lost = new Promise((resolve) => {
      this.resolve = resolve;
    });
    const { stream } = model.connection as ChannelModel['connection'] & WithStream;
    if (stream !== undefined) gatherWrites(stream);
    // An error is always followed by a close.
    model.on('error', (error) => {
      this.reason = error;
    });
    model.on('close', (error) => this.lose(error ?? this.reason ?? new Error('the connection was closed')));
    model.on('blocked', (reason) => this.setBlocked(true, reason));
    model.on('unblocked', () => this.setBlocked(false, undefined));
  }

  get isOpen(): boolean {
    return !this.isLost;
  }

  /** Version of the broker: `4.1.0`. */
  get version(): string {
    return this.model.connection.serverProperties.version;
  }

  openChannel(): Promise<OpenChannel<Channel>> {
    return this.channel(() => this.model.createChannel());
  }

  openConfirmChannel(): Promise<OpenChannel<ConfirmChannel>> {
    return this.channel(() => this.model.createConfirmChannel());
  }

  /** Waits for an answer of the broker; a connection that gives none is given up. @throws HF_BROKER_UNANSWERED, and what the broker answers */
  async answer<T>(request: string, answer: Promise<T>): Promise<T> {
    const { context, settings } = this.parts;
    let isAnswered = false;
    const seen = () => {
      isAnswered = true;
    };
    answer.then(seen, seen);
    try {
      return await within(context.scheduler, { request, timeoutMs: settings.requestTimeoutMs }, answer);
    } catch (error) {
      if (!isAnswered) this.drop(error as Error);
      throw error;
    }
  }

  /** Lets go of it without a word: everything on it is lost now. */
  drop(error: Error): void {
    const { stream } = this.model.connection as ChannelModel['connection'] & WithStream;
    stream?.destroy(error);
    // amqplib tells nothing of a connection that was closed before anybody listened.
    this.lose(error);
  }

  end(): Promise<void> {
    this.ending ??= this.close();
    return this.ending;
  }

  private async close(): Promise<void> {
    // Nobody is told of an answer that is lost with the connection.
    const answer = Promise.race([this.model.close(), this.lost]);
    await this.answer('the end of a connection', answer).catch((error: Error) => this.drop(error));
  }

  private async channel<C extends Channel>(open: () => Promise<C>): Promise<OpenChannel<C>> {
    try {
      const opened = new OpenChannel(await this.answer('a channel', open()), this);
      this.keep(opened);
      return opened;
    } catch (error) {
      if (error instanceof IllegalOperationError) this.drop(error);
      throw error;
    }
  }

  private lose(error: unknown): void {
    this.isLost = true;
    this.resolve(error);
    for (const channel of this.channels) channel.lose(error);
  }

  /** A channel is lost with its connection, also when that ended before anybody listened: the answer and the end may arrive together. */
  private keep(channel: OpenChannel<Channel>): void {
    this.channels.add(channel);
    void channel.lost.then(() => this.channels.delete(channel));
    if (this.isLost) channel.lose(this.reason ?? new Error('the connection was closed'));
  }

  private setBlocked(isBlocked: boolean, reason: string | undefined): void {
    this.isBlocked = isBlocked;
    this.parts.blocked(isBlocked ? (reason ?? '') : undefined);
  }
}

/** One channel, until it is closed by anybody. What was in flight on it then has an unknown end. */
export class OpenChannel<C extends Channel> implements Opened {
  readonly lost: Promise<unknown>;
  isOpen = true;
  private resolve: (error: unknown) => void = () => undefined;
  private reason: unknown;
  private ending: Promise<void> | undefined;

  constructor(
    readonly channel: C,
    private readonly connection: Connection,
  ) {
    this.lost = new Promise((resolve) => {
      this.resolve = resolve;
    });
    // Without these listeners a closed channel, or a fault in what handles its messages, would end the whole connection.
    channel.on('error', (error) => {
      this.reason = error;
    });
    channel.on('close', () => this.lose(this.reason ?? new Error('the channel was closed')));
    channel.on('handler-error', (error) => this.lose(error));
  }

  get isBlocked(): boolean {
    return this.connection.isBlocked;
  }

  /** From now on nothing is sent on it any more. */
  lose(error: unknown): void {
    this.isOpen = false;
    this.resolve(error);
  }

  /** As `answer` of its connection. */
  answer<T>(request: string, answer: Promise<T>): Promise<T> {
    return this.connection.answer(request, answer);
  }

  end(): Promise<void> {
    this.ending ??= this.close();
    return this.ending;
  }

  private async close(): Promise<void> {
    this.lose(new Error('the channel was ended'));
    // One that is closed already refuses; one that is not answered has cost the connection.
    const answer = Promise.race([this.channel.close(), this.connection.lost]);
    await this.answer('the end of a channel', answer).catch(() => undefined);
  }
}

/** The socket below TLS, which by itself cannot be given up before it has shaken hands, nor take the second address of a host. */
async function belowTls({ hostname, port }: URL, signal: AbortSignal): Promise<Socket> {
  const host = hostname.replace(/^\[|\]$/g, '');
  const socket = connectSocket({ host, port: Number(port || AMQPS_PORT), noDelay: true, signal });
  // TLS tells of them too.
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

function explained(error: unknown, address: string): Error {
  // Several addresses of one host that refuse are an error without a text.
  const { message, code } = (error ?? {}) as { readonly message?: string; readonly code?: string };
  const text = isHoldfastError(error, 'HF_BROKER_UNANSWERED')
    ? 'it does not answer'
    : (tlsReason('rabbitmq({ tls })', error) ?? (message || code || printable(error)));
  const reason = refusalIn(text);
  if (reason !== undefined) return hfError('HF_BROKER_REFUSED', { address, reason }, { cause: error });
  return hfError('HF_BROKER_UNREACHABLE', { address, reason: text }, { cause: error });
}

/** Why a broker ended the handshake for good; undefined when it was something that may pass. */
function refusalIn(text: string): string | undefined {
  // amqplib does not show what the broker says about a virtual host.
  if (/Expected ConnectionOpenOk; got <ConnectionClose/.test(text)) return 'there is no such virtual host, or this user may not enter it';
  const [, code, said] = /Handshake terminated by server: (\d+) .*?"(.*)"$/s.exec(text) ?? [];
  return code === '403' || code === '530' ? said : undefined;
}
