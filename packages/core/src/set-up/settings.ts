import { hfError } from '../errors/catalogue.js';
import { printable } from '../errors/printable.js';
import { problemsOf } from '../errors/problems.js';
import type { ReadForeign } from '../message/foreign.js';
import { limitsFrom, type MessageLimits } from '../message/limits.js';
import { assertStorable } from '../message/storable.js';
import type { HoldfastOptions } from '../options.js';
import { nameOfTransport } from '../transport/route.js';
import { DEFAULT_TRANSPORT } from '../transport/transport-name.js';
import { problemOfTransportName } from '../transport/transport-name.js';
import { type Duration, toMs } from '../time/duration.js';
import type { TransportFactory } from '../transport/transport.port.js';

const SERVICE_LENGTH = 255;
const DEFAULT_STOP: Duration = '10s';
const DEFAULT_RETENTION: Duration = '1d';
const DEFAULT_UNDO_RETENTION: Duration = '90d';
const DEFAULT_REQUEST_LIMIT = 1000;

/** Options, checked and with their times in milliseconds. */
export interface Settings {
  readonly service: string;
  /** The default one. */
  readonly transport: TransportFactory | undefined;
  /** All of them by their names, the default first; empty when that is missing. */
  readonly transports: ReadonlyMap<string, TransportFactory>;
  readonly migrate: boolean;
  readonly outsideTransaction: 'warn' | 'throw' | 'allow';
  readonly relay: boolean;
  readonly receipts: boolean;
  readonly stopTimeoutMs: number;
  readonly retentionMs: number;
  readonly undoRetentionMs: number;
  readonly limits: MessageLimits;
  readonly requestLimit: number;
  readonly readForeign: ReadForeign | undefined;
  readonly defaults: Readonly<NonNullable<HoldfastOptions['defaults']>>;
}

/** Reads the options; what is wrong goes to `problem`, one sentence each, so that all of it is told together. */
export function settingsFrom(options: HoldfastOptions, problem: (text: string) => void): Settings {
  const isProduction = process.env.NODE_ENV === 'production';
  const guarded = <T>(work: () => T, otherwise: T): T => {
    try {
      return work();
    } catch (error) {
      for (const each of problemsOf(error)) problem(each);
      return otherwise;
    }
  };
  guarded(() => assertStorable(options.service, 'The name of the service', SERVICE_LENGTH), undefined);
  const transports = transportsOf(options, problem);
  if (isProduction && options.allowInMemory !== true)
    for (const [name, { transport, capabilities }] of transports)
      if (!capabilities.persistent)
        problem(hfError('HF_CONFIG_IN_MEMORY', { part: 'transport', name: nameOfTransport(name, transport) }).message);
  const { outsideTransaction = 'warn' } = options;
  if (!['warn', 'throw', 'allow'].includes(outsideTransaction))
    problem(`outsideTransaction is ${JSON.stringify(outsideTransaction)}; use 'warn', 'throw' or 'allow'`);
  const { requestLimit = DEFAULT_REQUEST_LIMIT } = options;
  if (!Number.isSafeInteger(requestLimit) || requestLimit < 1)
    problem(`requestLimit is ${printable(requestLimit)}; use a whole number from 1`);
  const { readForeign } = options;
  if (readForeign !== undefined && typeof readForeign !== 'function')
    problem(`readForeign is ${printable(readForeign)}; give a function, such as fromClientProxy({ source: 'orders' })`);
  if (options.store === undefined) checkWithoutStore(options, problem);
  return {
    service: options.service,
    transport: transports.get(DEFAULT_TRANSPORT),
    transports,
    migrate: options.migrate ?? !isProduction,
    outsideTransaction,
    relay: options.relay ?? true,
    receipts: options.receipts ?? false,
    stopTimeoutMs: guarded(() => toMs(options.stopTimeout ?? DEFAULT_STOP, 'stopTimeout'), 0),
    retentionMs: guarded(() => toMs(options.retention ?? DEFAULT_RETENTION, 'retention'), 0),
    undoRetentionMs: guarded(() => toMs(options.undoRetention ?? DEFAULT_UNDO_RETENTION, 'undoRetention'), 0),
    requestLimit,
    limits: guarded(() => limitsFrom(options.limits), limitsFrom()),
    readForeign,
    defaults: options.defaults ?? {},
  };
}

/** Options that say something about what a store does. */
function checkWithoutStore(
  { outsideTransaction, migrate, relay, retention, undoRetention }: HoldfastOptions,
  problem: (text: string) => void,
): void {
  const add = 'add one, such as store: typeorm(), or leave it out';
  if (outsideTransaction === 'throw') problem(`outsideTransaction is 'throw' and there is no store to see the writes; ${add}`);
  if (migrate === true) problem(`migrate is true and there is no store whose tables could be made; ${add}`);
  if (relay !== undefined) problem(`relay is ${printable(relay)} and there is no store with an outbox; ${add}`);
  if (retention !== undefined) problem(`retention is ${printable(retention)} and there is no store that keeps a log; ${add}`);
  if (undoRetention !== undefined)
    problem(`undoRetention is ${printable(undoRetention)} and there is no store that keeps what there is to undo; ${add}`);
}

/** Those that can be used. */
function transportsOf(options: HoldfastOptions, problem: (text: string) => void): ReadonlyMap<string, TransportFactory> {
  const { transport, transports, store } = options;
  if (transport !== undefined && transports !== undefined) problem('transport and transports are both given; give one of them');
  const { default: main, ...others }: Readonly<Record<string, TransportFactory | undefined>> = { ...transports };
  const first = transport ?? main;
  if (first === undefined)
    problem(
      transports === undefined
        ? 'no transport is given; add one, such as transport: database()'
        : `transports has no default, only ${Object.keys(others).join(', ') || 'nothing'}; name the one that carries what names no other: default`,
    );
  const usable = new Map<string, TransportFactory>();
  for (const [name, factory] of Object.entries({ ...(first === undefined ? {} : { [DEFAULT_TRANSPORT]: first }), ...others }))
    if (isUsable({ name, factory, hasStore: store !== undefined }, problem)) usable.set(name, factory as TransportFactory);
  if (store !== undefined && typeof store.create !== 'function') problem('store is not a store; call the function, as in store: typeorm()');
  return usable;
}

interface GivenTransport {
  readonly name: string;
  readonly factory: TransportFactory | undefined;
  readonly hasStore: boolean;
}

function isUsable({ name, factory, hasStore }: GivenTransport, problem: (text: string) => void): boolean {
  const where = name === DEFAULT_TRANSPORT ? 'transport' : `transports.${name}`;
  const wrong = problemOfTransportName(name);
  if (wrong !== undefined) problem(hfError('HF_TRANSPORT_NAME', { name: printable(name), reason: wrong }).message);
  if (typeof factory?.create !== 'function') {
    problem(`${where} is not a transport; call the function, as in ${where}: database()`);
    return false;
  }
  const { transport, capabilities } = factory;
  if (capabilities.readsLog && name !== DEFAULT_TRANSPORT)
    problem(
      `${where} is ${transport}, which reads the log that the default transport would send; make it the default, and name the broker beside it`,
    );
  if (!capabilities.withoutStore && !hasStore)
    problem(`the transport ${nameOfTransport(name, transport)} needs a store; add one, such as store: typeorm()`);
  return wrong === undefined;
}
