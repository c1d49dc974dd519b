import type { Socket } from 'node:net';
import { hfError, type Scheduler, within } from '@holdfast/core';
import type { Settings } from './settings.js';
import { Sockets } from './sockets.js';

/** The request for the place of a group, in Kafka's protocol, and the first version of it that can wait for transactions. */
export const OFFSET_FETCH = 9;
export const SETTLING_VERSION = 7;
/** The request for what a broker knows. */
const API_VERSIONS = 18;
/** Of the protocol: a size of four bytes is before each message, and its own number behind that in an answer. */
const SIZE_BYTES = 4;

/** What is asked with. */
export interface AskingParts {
  readonly settings: Settings;
  readonly scheduler: Scheduler;
}

/** What is said of a broker that is too old for transactions of consumers. */
export function tooOld(): Error {
  return hfError('HF_CAPABILITY_UNSUPPORTED', { feature: "protocol: 'kafka'", provider: 'this broker; Kafka 2.5 or newer is needed' });
}

/**
 * Asks whether a broker can say where a group stands once its transactions are settled, over a connection of its own: librdkafka does not tell, and asks an older one for something
 * less. A broker answers that before anybody has said who he is. The first of those named in the options that answers counts.
 *
 * @throws HF_CAPABILITY_UNSUPPORTED when it is too old, HF_BROKER_UNANSWERED and whatever Node says of connections when there is no answer
 * @source KIP-35, ApiVersions 0; KIP-447
 */
export async function checkThatItSettles(parts: AskingParts): Promise<void> {
  const sockets = new Sockets();
  try {
    const newest = await Promise.any(parts.settings.brokers.map((address) => newestOffsetFetch(parts, sockets, address)));
    if (newest < SETTLING_VERSION) throw tooOld();
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  } finally {
    sockets.drop();
  }
}

async function newestOffsetFetch({ settings, scheduler }: AskingParts, sockets: Sockets, address: string): Promise<number> {
  const [host, port] = [
    address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, ''),
    Number(address.slice(address.lastIndexOf(':') + 1)),
  ];
  const { ssl, requestTimeoutMs: timeoutMs } = settings;
  const asked = (): void => void socket.write(question());
  const socket: Socket = sockets.make({ host, port, ssl: (ssl || undefined) as object, onConnect: asked });
  return within(scheduler, { request: 'the versions of a broker', timeoutMs }, answerOn(socket));
}

/** Its number, its version, a number for the answer, and no name. */
function question(): Buffer {
  const request = Buffer.alloc(SIZE_BYTES + 10);
  request.writeInt32BE(10, 0);
  request.writeInt16BE(API_VERSIONS, 4);
  request.writeInt32BE(1, 8);
  request.writeInt16BE(-1, 12);
  return request;
}

async function answerOn(socket: Socket): Promise<number> {
  let received = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    received = Buffer.concat([received, chunk]);
    if (received.length >= SIZE_BYTES && received.length >= SIZE_BYTES + received.readInt32BE(0)) return newestIn(received);
  }
  throw new Error('the broker has closed the connection');
}

/** After the number of the answer and an error: for each kind of request its oldest and its newest version. */
function newestIn(answer: Buffer): number {
  const [count, first] = [answer.readInt32BE(10), 14];
  for (let n = 0; n < count; n += 1) if (answer.readInt16BE(first + 6 * n) === OFFSET_FETCH) return answer.readInt16BE(first + 6 * n + 4);
  return -1;
}
