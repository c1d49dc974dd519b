import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What one connection sent and was answered, in turns. */
export interface Conversation {
  /** Texts of what the client sent before it was answered, one for each round trip. */
  readonly sent: string[];
}

/** A proxy in front of a database that tells round trips apart: each begins when the client speaks after it was answered. */
export interface CountingProxy {
  readonly url: string;
  readonly conversations: readonly Conversation[];
  close(): Promise<void>;
}

export async function countingProxy(url: string): Promise<CountingProxy> {
  const target = new URL(url);
  const conversations: Conversation[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port || 5432), target.hostname);
    const sent: string[] = [];
    let isAnswered = true;
    conversations.push({ sent });
    client.on('data', (chunk) => {
      if (isAnswered) sent.push('');
      isAnswered = false;
      sent[sent.length - 1] += chunk.toString('latin1');
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      isAnswered = true;
      client.write(chunk);
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('end', () => other.end());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  target.hostname = '127.0.0.1';
  target.port = String((server.address() as AddressInfo).port);
  return {
    url: target.toString(),
    conversations,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
