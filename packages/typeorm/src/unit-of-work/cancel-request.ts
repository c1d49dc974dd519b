import { connect } from 'node:net';
import type { PgClient } from './pg-client.js';

const CANCEL_CODE = 80877102;
const REQUEST_BYTES = 16;
const TIMEOUT_MS = 1000;

/**
 * Asks the server to stop what this client runs, over a connection of its own. Resolves when the server has taken the request or after a second,
 * never rejects. It is a wish: afterwards the client must be destroyed, because the request may reach whatever it runs next.
 *
 * @source PostgreSQL documentation, "Canceling Requests in Progress"
 */
export function cancelRequest(client: PgClient): Promise<void> {
  const { host = 'localhost', port = 5432, processID, secretKey } = client;
  if (typeof processID !== 'number' || typeof secretKey !== 'number') return Promise.resolve();
  const request = Buffer.alloc(REQUEST_BYTES);
  request.writeInt32BE(REQUEST_BYTES, 0);
  request.writeInt32BE(CANCEL_CODE, 4);
  request.writeInt32BE(processID, 8);
  request.writeInt32BE(secretKey, 12);
  return new Promise((resolve) => {
    const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy());
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.on('connect', () => socket.write(request));
    socket.resume(); // the server says nothing and hangs up
  });
}
