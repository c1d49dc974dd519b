import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A way to a server on which connections can vanish without a word: neither side hears of it. */
export interface BlackHole {
  /** The server's address by this way. */
  readonly url: string;
  /** From now on nothing passes on the connections that are open; new ones work. */
  swallow(): void;
  close(): Promise<void>;
}

/** Opens a way to the server of `url`. */
export async function openBlackHole(url: string): Promise<BlackHole> {
  const { hostname, port } = new URL(url);
  const pairs = new Set<readonly [Socket, Socket]>();
  const server = createServer((near) => {
    const far = connect(Number(port || 5432), hostname);
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const socket of pair) socket.setNoDelay(true).on('error', () => undefined);
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const here = new URL(url);
  here.hostname = '127.0.0.1';
  here.port = String((server.address() as AddressInfo).port);
  return {
    url: here.toString(),
    swallow: () => {
      for (const [near, far] of pairs) {
        near.unpipe(far).pause();
        far.unpipe(near).pause();
      }
    },
    close: async () => {
      for (const socket of [...pairs].flat()) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
