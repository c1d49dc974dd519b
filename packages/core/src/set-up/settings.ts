import { hfError } from '../errors/catalogue.js';
import { printable } from '../errors/printable.js';
import { problemsOf } from '../errors/problems.js';
import type { ReadForeign } from '../message/foreign.js';
import { limitsFrom, type MessageLimits } from '../message/limits.js';
import { assertStorable } from '../message/storable.js';
import type { HoldfastOptions } from '../options.js';
import { type Duration, toMs } from '../time/duration.js';
import type { TransportFactory } from '../transport/transport.port.js';

const SERVICE_LENGTH = 255;
const DEFAULT_STOP: Duration = '10s';
const DEFAULT_RETENTION: Duration = '1d';
const DEFAULT_REQUEST_LIMIT = 1000;

/** Options, checked and with their times in milliseconds. */
export interface Settings {
  readonly service: string;
  readonly transport: TransportFactory | undefined;
  readonly migrate: boolean;
  readonly outsideTransaction: 'warn' | 'throw' | 'allow';
  readonly relay: boolean;
  readonly receipts: boolean;
  readonly stopTimeoutMs: number;
  readonly retentionMs: number;
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
  const transport = transportOf(options, problem);
  if (isProduction && options.allowInMemory !== true && transport !== undefined && !transport.capabilities.persistent) {
    problem(hfError('HF_CONFIG_IN_MEMORY', { part: 'transport', name: transport.transport }).message);
  }
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
    transport,
    migrate: options.migrate ?? !isProduction,
    outsideTransaction,
    relay: options.relay ?? true,
    receipts: options.receipts ?? false,
    stopTimeoutMs: guarded(() => toMs(options.stopTimeout ?? DEFAULT_STOP, 'stopTimeout'), 0),
    retentionMs: guarded(() => toMs(options.retention ?? DEFAULT_RETENTION, 'retention'), 0),
    requestLimit,
    limits: guarded(() => limitsFrom(options.limits), limitsFrom()),
    readForeign,
    defaults: options.defaults ?? {},
  };
}

/** Options that say something about what a store does. */
function checkWithoutStore({ outsideTransaction, migrate, relay, retention }: HoldfastOptions, problem: (text: string) => void): void {
  const add = 'add one, such as store: typeorm(), or leave it out';
  if (outsideTransaction === 'throw') problem(`outsideTransaction is 'throw' and there is no store to see the writes; ${add}`);
  if (migrate === true) problem(`migrate is true and there is no store whose tables could be made; ${add}`);
  if (relay !== undefined) problem(`relay is ${printable(relay)} and there is no store with an outbox; ${add}`);
  if (retention !== undefined) problem(`retention is ${printable(retention)} and there is no store that keeps a log; ${add}`);
}

function transportOf(options: HoldfastOptions, problem: (text: string) => void): TransportFactory | undefined {
  if (options.transport !== undefined && options.transports !== undefined)
    problem('transport and transports are both given; give one of them');
  const names = Object.keys(options.transports ?? {}).filter((name) => name !== 'default');
  if (names.length > 0) problem(`transports names ${names.join(', ')}; besides the default, further transports are not supported yet`);
  const transport: TransportFactory | undefined = options.transport ?? options.transports?.default;
  if (transport === undefined) problem('no transport is given; add one, such as transport: database()');
  else if (typeof transport.create !== 'function') problem('transport is not a transport; call the function, as in transport: database()');
  const { store } = options;
  if (store !== undefined && typeof store.create !== 'function') problem('store is not a store; call the function, as in store: typeorm()');
  if (transport?.capabilities?.withoutStore === false && store === undefined)
    problem(`the transport ${transport.transport} needs a store; add one, such as store: typeorm()`);
  return transport;
}
