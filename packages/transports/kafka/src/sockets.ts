import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ISocketFactory } from 'kafkajs';

/** Between two signs of life that the operating system asks of the other end. */
const KEEP_ALIVE_MS = 60_000;

/** All sockets of a client. kafkajs ends one only when the broker has answered what was asked on it, so one that hangs would keep the process. */
export class Sockets {
  private readonly open = new Set<Socket>();
  private isDropped = false;

  /** As kafkajs makes them, and none any more after `drop`. */
  readonly make: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    const name = isIP(host) === 0 ? { servername: host } : {};
    const socket = ssl ? connectTls({ host, port, ...name, ...(ssl as object) }, onConnect) : connect({ host, port }, onConnect);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.open.add(socket);
    socket.once('close', () => this.open.delete(socket));
    if (this.isDropped) socket.destroy(new Error('the client was closed'));
    return socket;
  };

  /** Ends all of them, whatever is still to be answered. */
  drop(): void {
    this.isDropped = true;
    for (const socket of this.open) socket.destroy(new Error('the client was closed'));
  }
}
