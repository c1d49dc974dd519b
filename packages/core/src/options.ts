import type { FailurePauseOptions } from './delivery/failure-pause-options.js';
import type { RetryOptions } from './delivery/policies.js';
import type { ReadForeign } from './message/foreign.js';
import type { MessageLimitOptions } from './message/limits.js';
import type { StoreFactory } from './store/store.port.js';
import type { Duration } from './time/duration.js';
import type { TransportFactory } from './transport/transport.port.js';

/** Options that do not depend on the number of transports. */
export interface CommonOptions {
  /** Name of the service, `source` of its messages. */
  service: string;
  /** Default: none, so publishing waits for the broker and retries stay in process. */
  store?: StoreFactory;
  /** Allows an in-memory store or transport in production; else HF_CONFIG_IN_MEMORY. */
  allowInMemory?: true;
  /** Creates and upgrades the `holdfast_*` tables at start; default: true except in production. */
  migrate?: boolean;
  /** A publish outside any unit within a second of a write outside any unit, in the same async context and through the store's DataSource; default 'warn', once per place in the code. 'throw' refuses it (HF_OUTSIDE_TRANSACTION) where both belong to one HTTP/1 request, delivery, hook or `detached` call for certain, and warns elsewhere; it needs a store. */
  outsideTransaction?: 'warn' | 'throw' | 'allow';
  /** Whether this process sends what is in the outbox; default true. */
  relay?: boolean;
  /** How long `stop` waits for work in flight before returning it; default '10s'. */
  stopTimeout?: Duration;
  /** Defaults of every handler. */
  defaults?: { retry?: number | RetryOptions; timeout?: Duration; concurrency?: number; failurePause?: false | FailurePauseOptions };
  /** Requests that may wait for their replies at once in this process, at least 1; default 1000, and one more is refused (HF_REQUEST_LIMIT). A larger one lets more callers pile up behind a service that does not answer. */
  requestLimit?: number;
  /** Takes the receipts that other services give over a broker, with a subscription of its own (`holdfast.receipts`); needed there for `publish(…, { receipt: true })`, and for nothing on the database transport; default false. */
  receipts?: boolean;
  /** What a message may weigh; a larger one is refused at publish (HF_MESSAGE_TOO_LARGE) and parked at delivery. */
  limits?: MessageLimitOptions;
  /** Reads what producers send that know nothing of CloudEvents, over a broker; default: none, so it is parked (HF_MESSAGE_FOREIGN). For those of Nest: `fromClientProxy`, `fromNestOutbox`. */
  readForeign?: ReadForeign;
  /** How long rows of the log are kept at least, also when every subscription has read them, and decisions about half messages; default '1d'. A longer one lets `from: 'earliest'` reach further back and keeps more rows. */
  retention?: Duration;
  /** How long what handlers with `@Compensate` did for a choreographed saga is kept after its last message here; default '90d'. A later abort undoes nothing, and what comes later for an aborted saga is not recognised. A longer one keeps more rows: messages per second × this. */
  undoRetention?: Duration;
}

/** Options of a service: one transport, or several by name of which one is the default. */
export type HoldfastOptions = CommonOptions &
  (
    | {
        /** What carries all messages. */
        transport: TransportFactory;
        transports?: undefined;
      }
    | {
        /** By name: what stands before the colon of a destination, as in `'events:orders'`, names one; `default` carries the rest. A name stays that of its broker for as long as messages wait for it. */
        transports: { readonly default: TransportFactory } & { readonly [name: string]: TransportFactory };
        transport?: undefined;
      }
  );
