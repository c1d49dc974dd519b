import { Duplex } from 'node:stream';
import type { BaseClient } from 'rocketmq-client-nodejs';

type Stream = ReturnType<BaseClient['createTelemetryStream']>;

/**
 * The streams on which a client hears of its settings. The client opens one that failed again after a second, also when it was shut down, takes away all
 * that listens to one that it lets go of, errors included, and never ends one that hangs.
 */
export class Fence {
  /** The first failure; never rejects. */
  readonly failed: Promise<unknown>;
  private readonly open = new Set<Stream>();
  private isShut = false;
  private fail: (error: unknown) => void = () => undefined;

  constructor() {
    this.failed = new Promise((resolve) => {
      this.fail = resolve;
    });
  }

  get isClosed(): boolean {
    return this.isShut;
  }

  /** Something failed that no stream has heard of. */
  report(error: unknown): void {
    this.fail(error);
  }

  /** A stream as the client asks for one; when nothing is to be opened any more, one that leads nowhere. */
  guard(make: () => Stream): Stream {
    if (this.isShut) return nowhere();
    const stream = make();
    this.open.add(stream);
    const failed = (error: unknown) => {
      this.open.delete(stream);
      this.fail(error);
    };
    const listen = () => stream.on('error', failed).on('end', () => failed(new Error('the proxy ended the connection')));
    const remove = stream.removeAllListeners.bind(stream);
    stream.removeAllListeners = (...args) => {
      remove(...args);
      listen();
      return stream;
    };
    return listen();
  }

  /** Ends all of them, whatever is still to be said. */
  close(): void {
    this.isShut = true;
    for (const stream of this.open) stream.cancel();
  }
}

function nowhere(): Stream {
  const stream: unknown = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done(), objectMode: true });
  return stream as Stream;
}
