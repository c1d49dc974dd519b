import { connect } from 'node:net';

/** What is asked of a broker or a name server, as its command line does. */
export interface RemotingRequest {
  /** Of RocketMQ's `RequestCode`. */
  readonly code: number;
  readonly fields?: Readonly<Record<string, string>>;
  /** Bytes as they are, anything else as JSON. */
  readonly body?: unknown;
}

/** What it says. */
export interface RemotingAnswer {
  /** 0: done. */
  readonly code: number;
  readonly remark: string | undefined;
  readonly fields: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Far more than it takes, on a busy machine too. */
const PATIENCE_MS = 60_000;

/** Asks once, over a connection of its own, without a JVM. One frame: length, length of the header, header as JSON, body. */
export function invoke(address: string, { code, fields = {}, body }: RemotingRequest): Promise<RemotingAnswer> {
  const [host, port] = address.split(':') as [string, string];
  const header = Buffer.from(JSON.stringify({ code, language: 'JAVA', version: 453, opaque: 1, flag: 0, extFields: fields }));
  const content = body === undefined ? Buffer.alloc(0) : Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  const sizes = Buffer.alloc(8);
  sizes.writeInt32BE(4 + header.length + content.length, 0);
  sizes.writeInt32BE(header.length, 4);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port) }, () => socket.write(Buffer.concat([sizes, header, content])));
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error(`${address} does not answer`)));
    let seen = Buffer.alloc(0);
    socket.on('error', reject).on('close', () => reject(new Error(`${address} closed the connection`)));
    socket.on('data', (chunk) => {
      seen = Buffer.concat([seen, chunk]);
      if (seen.length < 8 || seen.length < 4 + seen.readInt32BE(0)) return;
      const end = 8 + (seen.readInt32BE(4) & 0xffffff);
      const told = JSON.parse(seen.subarray(8, end).toString());
      const { code, remark, extFields: fields = {} } = told;
      resolve({ code, remark, fields, body: seen.subarray(end, 4 + seen.readInt32BE(0)).toString() });
      socket.destroy();
    });
  });
}
