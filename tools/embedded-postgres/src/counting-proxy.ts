import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What the client sent before it was answered. */
export interface RoundTrip {
  sent: string;
  /** Whether it left the connection within a transaction. */
  isWithin: boolean;
  /** Times that the server has said that it has committed. */
  commits: number;
}

/** The server's word that a COMMIT is done: its CommandComplete. */
const COMMITTED = 'C\0\0\0\x0bCOMMIT\0';

/** A proxy in front of a database that tells round trips apart: each begins when the client speaks after it was answered. */
export interface CountingProxy {
  readonly url: string;
  /** Round trips of each connection. */
  readonly conversations: readonly (readonly RoundTrip[])[];
  close(): Promise<void>;
}

/** The address of a database by a way that stands in front of its server, past the Unix socket that it may name. */
export function addressBy(url: string, way: ReturnType<Server['address']>): string {
  const here = new URL(url);
  here.hostname = '127.0.0.1';
  here.port = String((way as AddressInfo).port);
  here.searchParams.delete('host');
  return here.href;
}

/** @param isCut whether the client is cut off when the server has done what it sent, before it is answered */
export async function countingProxy(url: string, isCut: (sent: string) => boolean = () => false): Promise<CountingProxy> {
  const { hostname, port } = new URL(url);
  const conversations: RoundTrip[][] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port || 5432), hostname);
    const roundTrips: RoundTrip[] = [];
    let isAnswered = true;
    let tail = '';
    conversations.push(roundTrips);
    client.on('data', (chunk) => {
      if (isAnswered) roundTrips.push({ sent: '', isWithin: false, commits: 0 });
      isAnswered = false;
      (roundTrips.at(-1) as RoundTrip).sent += chunk.toString('latin1');
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      isAnswered = true;
      const last = roundTrips.at(-1);
      const said = tail + chunk.toString('latin1');
      tail = said.slice(1 - COMMITTED.length);
      if (last !== undefined) last.commits += said.split(COMMITTED).length - 1;
      // ReadyForQuery: its last byte is the state of the transaction.
      if (last !== undefined && chunk.toString('latin1', chunk.length - 6, chunk.length - 1) === 'Z\0\0\0\x05')
        last.isWithin = chunk.at(-1) !== 'I'.charCodeAt(0);
      if (last === undefined || !isCut(last.sent)) client.write(chunk);
      else if (chunk.at(-1) === 'I'.charCodeAt(0)) client.destroy();
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
  return {
    url: addressBy(url, server.address()),
    conversations,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A transaction as its client said it, or what was said outside any. */
export interface SpokenTransaction {
  readonly sent: string;
  readonly roundTrips: number;
  readonly commits: number;
}

/** What was said over one connection, a transaction each. */
export function transactionsIn(roundTrips: readonly RoundTrip[]): SpokenTransaction[] {
  const transactions: SpokenTransaction[] = [];
  let begun: readonly RoundTrip[] = [];
  for (const one of roundTrips) {
    begun = [...begun, one];
    if (one.isWithin) continue;
    const sent = begun.map((each) => each.sent).join('');
    const commits = begun.reduce((sum, each) => sum + each.commits, 0);
    transactions.push({ sent, roundTrips: begun.length, commits });
    begun = [];
  }
  return transactions;
}
