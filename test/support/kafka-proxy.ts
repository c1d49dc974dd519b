import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Kind of the request that ends a transaction. @source Kafka protocol, "API Keys" */
const END_TXN = 26;

/** What the proxy does with a request that ends a transaction: its answer never comes, or the request itself never arrives. */
export type Loss = 'answer' | 'request';

/** Stands between clients and a broker: in what the broker says of itself its own address is replaced by that of the proxy, so that all of its clients come through it. */
export class KafkaProxy {
  /** What becomes of the next ends of transactions. */
  readonly losses: Loss[] = [];
  /** What was lost. */
  lost = 0;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly broker: { readonly host: string; readonly port: number },
  ) {
    server.on('connection', (client) => this.join(client));
  }

  static async before(address: string): Promise<KafkaProxy> {
    const [host = '', port = ''] = address.split(':');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new KafkaProxy(server, { host, port: Number(port) });
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Ends all connections, from the middle. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private join(client: Socket): void {
    const broker = connect(this.broker);
    const cut = () => {
      client.destroy();
      broker.destroy();
    };
    let isDeaf = false;
    for (const socket of [client, broker]) {
      this.sockets.add(socket);
      socket.on('error', cut);
      socket.on('close', () => {
        this.sockets.delete(socket);
        cut();
      });
    }
    eachFrame(client, (frame) => {
      const loss = frame.readInt16BE(4) === END_TXN ? this.losses.shift() : undefined;
      if (loss !== undefined) this.lost += 1;
      if (loss === 'request') return cut();
      isDeaf ||= loss === 'answer';
      broker.write(frame);
    });
    eachFrame(broker, (frame) => {
      if (isDeaf) cut();
      else client.write(this.renamed(frame));
    });
  }

  /** Addresses are a text and a number, each of the same size for both; what comes before the text is its length, in one form or another. */
  private renamed(frame: Buffer): Buffer {
    const theirs = addressIn(this.broker);
    const ours = addressIn({ host: '127.0.0.1', port: (this.server.address() as AddressInfo).port });
    for (let at = frame.indexOf(theirs); at !== -1; at = frame.indexOf(theirs, at + 1)) ours.copy(frame, at);
    return frame;
  }
}

function addressIn({ host, port }: { readonly host: string; readonly port: number }): Buffer {
  const bytes = Buffer.alloc(host.length + 4);
  bytes.write(host);
  bytes.writeInt32BE(port, host.length);
  return bytes;
}

/** Requests and answers begin with their length. */
function eachFrame(socket: Socket, take: (frame: Buffer) => void): void {
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const length = 4 + rest.readInt32BE(0);
      take(Buffer.from(rest.subarray(0, length)));
      rest = rest.subarray(length);
    }
  });
}
