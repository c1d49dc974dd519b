import { type Clock, type Logger, Permits, within } from '@holdfast/core';
import type { WaitingParts } from './base-driver.js';
import type { Position } from './client.port.js';
import { called, named } from './confluent-errors.js';
import type { ConfluentLibrary, Done, NativeClient, NativeConsumer, NativeError, NativePlace } from './confluent-library.js';

/** What this driver works with. */
export interface ConfluentParts extends WaitingParts {
  readonly library: ConfluentLibrary;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Shown by the broker's tools. */
  readonly clientId: string;
}

/** What librdkafka writes into its log. */
export interface LogEntry {
  readonly fac: string;
  readonly message: string;
}

/** What became of a commit. */
const COMMITTED = 'offset.commit';
/** A connection came to nothing. */
const FAILED = 'FAIL';
const NOT_LET_IN = /SASL.*(?:error|failed|authentication)/i;
const OF_TLS = /SSL handshake failed|SSL_HANDSHAKE|certificate/i;
/** Tries of a start that a connection has time for. */
const TRIES = 3;

/** Threads that Node has for files and names, and for what librdkafka is waited for in; all of the process have them in common. */
const THREADS = Number.parseInt(process.env.UV_THREADPOOL_SIZE ?? '', 10) || 4;
/** Left to everybody else, and to looks into what was fetched. */
const FREE_THREADS = 2;
const waits = new Permits(Math.max(1, THREADS - FREE_THREADS));

/** Waits for something that holds a thread until the broker has answered; those for whom there is none come after one another. */
export function waited<T>(work: () => Promise<T>): Promise<T> {
  return waits.run(work);
}

/** Calls into clients that have not called back. */
const underWay = new WeakMap<NativeClient, Set<Promise<unknown>>>();

/**
 * As `called`, of something for which a thread looks into clients. It looks once whether they are there, and the process ends when one of them is let go of behind that: so they
 * stay until it has called back, also when nobody waits for it any more.
 */
export function calledOn<T = unknown>(clients: readonly NativeClient[], call: (done: Done<T>) => unknown): Promise<T> {
  const answer = called(call);
  for (const client of clients) {
    const calls = underWay.get(client) ?? new Set();
    underWay.set(client, calls.add(answer));
    const ended = () => void calls.delete(answer);
    answer.then(ended, ended);
  }
  return answer;
}

async function allCalledBack(client: NativeClient): Promise<void> {
  const calls = underWay.get(client);
  while (calls !== undefined && calls.size > 0) await Promise.allSettled(calls);
}

/**
 * Moves the group of a consumer, which is a member of it, or where it has none. The callback of the library comes before the broker has heard of it; what the broker says of it comes with a look into the
 * consumer, as an event.
 */
export async function committed(
  client: NativeConsumer,
  positions: readonly Position[],
  { scheduler, settings }: Pick<ConfluentParts, 'scheduler' | 'settings'>,
): Promise<void> {
  const places = positions.map(({ topic, partition, offset, note }) => ({
    topic,
    partition,
    offset: Number(offset),
    ...(note === undefined ? {} : { metadata: note }),
  }));
  let hear: (error: NativeError | undefined, told: readonly NativePlace[]) => void = () => undefined;
  const answer = new Promise<void>((resolve, reject) => {
    hear = (error, told) => {
      if (!isSame(told, places)) return;
      if (error) reject(named(error));
      else resolve();
    };
  });
  client.on(COMMITTED, hear as (...told: never[]) => void);
  const patience = { request: 'a commit of offsets', timeoutMs: settings.requestTimeoutMs + settings.sessionTimeoutMs };
  // What is never called back must not keep its permit.
  const asked = waited(() =>
    within(
      scheduler,
      patience,
      calledOn([client], (done) => client.commitCb(places, done)),
    ),
  );
  try {
    await within(scheduler, patience, Promise.all([asked, answer]));
  } finally {
    client.off(COMMITTED, hear as (...told: never[]) => void);
  }
}

/** In whatever order they are. */
function isSame(told: readonly NativePlace[], places: readonly NativePlace[]): boolean {
  const isTold = ({ topic, partition, offset }: NativePlace) =>
    told.some((each) => each.topic === topic && each.partition === partition && each.offset === offset);
  return told.length === places.length && places.every(isTold);
}

/** Clients that have spoken with a broker, or are about to. */
const openings = new WeakMap<NativeClient, { readonly answer: Promise<unknown>; isOpen: boolean }>();

/**
 * Resolves when it has spoken with a broker. librdkafka tries again by itself, and what it says in the end is that it was in vain; why is in its log alone. When it is not
 * let in, or TLS comes to nothing, that is told at once.
 */
export async function connected(client: NativeClient, { settings }: Pick<ConfluentParts, 'settings'>): Promise<void> {
  let told: Error | undefined;
  const refused = new Promise<never>((_, reject) => {
    const hear = ({ fac, message }: LogEntry) => {
      if (fac !== FAILED) return;
      told = failureIn(message);
      if ('type' in told || 'code' in told) reject(told);
    };
    client.on('event.log', hear as (...told: never[]) => void);
  });
  refused.catch(() => undefined);
  const timeout = Math.min(settings.requestTimeoutMs, Math.ceil(settings.startTimeoutMs / TRIES));
  const opening = { answer: called((done) => client.connect({ allTopics: false, timeout }, done)), isOpen: false };
  openings.set(client, opening);
  try {
    await Promise.race([refused, opening.answer]);
    opening.isOpen = true;
  } catch (error) {
    throw told ?? error;
  }
}

/** With the names by which kafkajs and Node say the same. */
function failureIn(message: string): Error {
  const reason = message.replace(/^\[thrd:.*?\]: /, '');
  if (NOT_LET_IN.test(reason)) return Object.assign(new Error(reason), { type: 'SASL_AUTHENTICATION_FAILED' });
  if (OF_TLS.test(reason)) return Object.assign(new Error(reason), { code: 'ERR_SSL_HANDSHAKE' });
  return new Error(reason);
}

/**
 * A broker that does not answer must not keep us; what goes on behind our back ends by itself. One that is still opening is let go of when it is open: the library lets go
 * of one that fails by itself, and looks whether it is free already before it takes its lock: two at once could free it twice. One that is being called is let go of when that has ended.
 */
export async function disconnected(
  client: NativeClient,
  { scheduler, settings }: Pick<ConfluentParts, 'scheduler' | 'settings'>,
): Promise<void> {
  const opening = openings.get(client);
  if (opening === undefined) return;
  openings.delete(client);
  const leave = async () => {
    await allCalledBack(client);
    await called((done) => client.disconnect(done));
  };
  if (opening.isOpen)
    await within(scheduler, { request: 'the end of a client', timeoutMs: settings.requestTimeoutMs }, leave()).catch(() => undefined);
  else void opening.answer.then(leave).catch(() => undefined);
}
