import type { Done, NativeError } from './confluent-library.js';

/** Names of what matters here, by Kafka's numbers, and by those of librdkafka, which are negative. */
const NAMES: Readonly<Record<number, string>> = {
  [-188]: 'UNKNOWN_TOPIC_OR_PARTITION',
  [-190]: 'UNKNOWN_TOPIC_OR_PARTITION',
  [-169]: 'SASL_AUTHENTICATION_FAILED',
  [-144]: 'PRODUCER_FENCED',
  3: 'UNKNOWN_TOPIC_OR_PARTITION',
  10: 'MESSAGE_TOO_LARGE',
  17: 'INVALID_TOPIC_EXCEPTION',
  18: 'RECORD_LIST_TOO_LARGE',
  29: 'TOPIC_AUTHORIZATION_FAILED',
  30: 'GROUP_AUTHORIZATION_FAILED',
  31: 'CLUSTER_AUTHORIZATION_FAILED',
  32: 'INVALID_TIMESTAMP',
  33: 'UNSUPPORTED_SASL_MECHANISM',
  43: 'UNSUPPORTED_FOR_MESSAGE_FORMAT',
  44: 'POLICY_VIOLATION',
  47: 'INVALID_PRODUCER_EPOCH',
  48: 'INVALID_TXN_STATE',
  49: 'INVALID_PRODUCER_ID_MAPPING',
  50: 'INVALID_TRANSACTION_TIMEOUT',
  51: 'CONCURRENT_TRANSACTIONS',
  53: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  58: 'SASL_AUTHENTICATION_FAILED',
  87: 'INVALID_RECORD',
  88: 'UNSTABLE_OFFSET_COMMIT',
  90: 'PRODUCER_FENCED',
};

/** An error of librdkafka with the name that Kafka has for it, which tells what to do. */
export function named(error: unknown): Error & { readonly type?: string } {
  const native = error instanceof Error ? error : new Error(String((error as Partial<NativeError> | undefined)?.message ?? error));
  const { code } = error as Partial<NativeError>;
  return Object.assign(native, { type: code === undefined ? undefined : NAMES[code] });
}

/** What a call with a callback comes to. What it throws at once it rejects with. */
export function called<T = unknown>(call: (done: Done<T>) => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    try {
      call((error, result) => (error ? reject(named(error)) : resolve(result)));
    } catch (error) {
      reject(named(error));
    }
  });
}

/** For a promise of somebody else's. */
export async function naming<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw named(error);
  }
}
