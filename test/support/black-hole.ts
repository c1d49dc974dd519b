import { addressBy } from '@holdfast-internal/embedded-postgres';
import net, { connect, createServer, type Socket } from 'node:net';

/** A way to a server on which connections can vanish without a word: neither side hears of it. */
export interface BlackHole {
  /** The server's address by this way. */
  readonly url: string;
  /** How many are open. */
  readonly connections: number;
  /** From now on nothing passes on the connections that are open; new ones work. */
  swallow(): void;
  /** From now on what the server says is lost on the connections that are open, while it still hears everything. */
  mute(): void;
  /** Ends the connections that are open, from the middle. */
  cut(): void;
  /** Ends the connections once so many bytes have come for the server from now on, over all connections; tells when it has. */
  cutAfter(bytes: number): Promise<void>;
  /** From now on what the server says comes so much later. */
  lag(ms: number): void;
  /** Says something in the server's name on the connections that are open. */
  inject(bytes: Buffer): void;
  /** Once, when the server says something with `after` in it, on whatever connection: these bytes follow in the same breath. */
  follow(after: Buffer, bytes: Buffer): void;
  /** Takes new connections and all they say, and answers nothing; or lets them through again, once the others are given up. */
  hold(isHolding: boolean): void;
  /** Ends all connections and refuses new ones, or takes them again. */
  refuse(isRefusing: boolean): void;
  close(): Promise<void>;
}

/** Opens a way to the server of `url`. */
export async function openBlackHole(url: string): Promise<BlackHole> {
  const { hostname, port } = new URL(url);
  const pairs = new Set<readonly [Socket, Socket]>();
  const held = new Set<Socket>();
  let isRefusing = false;
  let isHolding = false;
  let lagMs = 0;
  let cutting: { left: number; readonly done: () => void } | undefined;
  let following: { readonly after: Buffer; readonly bytes: Buffer } | undefined;
  /** What the server says, and what we say behind it. */
  const told = (said: Buffer): Buffer => {
    if (following === undefined || !said.includes(following.after)) return said;
    const { bytes } = following;
    following = undefined;
    return Buffer.concat([said, bytes]);
  };
  const cut = () => {
    for (const socket of [...pairs].flat()) socket.destroy();
    pairs.clear();
  };
  const count = ({ length }: Buffer) => {
    if (cutting === undefined) return;
    cutting.left -= length;
    if (cutting.left > 0) return;
    const { done } = cutting;
    cutting = undefined;
    cut();
    done();
  };
  const server = createServer((near) => {
    if (isRefusing) {
      near.destroy();
      return;
    }
    if (isHolding) {
      held.add(near.on('error', () => undefined).resume());
      return;
    }
    const far = connect(Number(port || 5432), hostname);
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const socket of pair) socket.setNoDelay(true).on('error', () => undefined);
    near.on('data', count).pipe(far);
    far.pipe(near);
    const write = near.write.bind(near);
    near.write = ((said: Buffer) => {
      if (lagMs === 0) return write(told(said));
      // Of the same length, so they end in the order in which they began.
      setTimeout(() => write(told(said)), lagMs);
      return true;
    }) as typeof near.write;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: addressBy(url, server.address()),
    get connections() {
      return pairs.size;
    },
    swallow: () => {
      for (const [near, far] of pairs) {
        near.unpipe(far).pause();
        far.unpipe(near).pause();
      }
    },
    mute: () => {
      for (const [near, far] of pairs) far.unpipe(near).resume();
    },
    cut,
    cutAfter: (bytes) =>
      new Promise((done) => {
        cutting = { left: bytes, done };
      }),
    lag: (ms) => {
      lagMs = ms;
    },
    inject: (bytes) => {
      for (const [near] of pairs) near.write(bytes);
    },
    follow: (after, bytes) => {
      following = { after, bytes };
    },
    hold: (isHoldingNow) => {
      isHolding = isHoldingNow;
    },
    refuse: (isRefusingNow) => {
      isRefusing = isRefusingNow;
      if (isRefusing) cut();
    },
    close: async () => {
      cut();
      for (const socket of held) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * One before a RocketMQ, for all clients of this process: where a message goes is told by RocketMQ's proxy, and it tells its own address, so it is the way
 * there that is changed, until the hole is closed.
 */
export async function holeBeforeRocketmq(endpoint: string): Promise<BlackHole> {
  const hole = await openBlackHole(`http://${endpoint}`);
  const way = { host: '127.0.0.1', port: Number(new URL(hole.url).port) };
  const original = net.connect as (...args: readonly unknown[]) => Socket;
  net.connect = ((target: unknown, ...rest: readonly unknown[]) => {
    const { host, port } = target as { readonly host?: string; readonly port?: number };
    return original(`${host}:${port}` === endpoint ? way : target, ...rest);
  }) as typeof net.connect;
  const { close } = hole;
  hole.close = async () => {
    net.connect = original as typeof net.connect;
    await close();
  };
  return hole;
}
