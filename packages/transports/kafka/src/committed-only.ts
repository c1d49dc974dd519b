import type { Kafka } from 'kafkajs';
import { type Broker, eachBroker } from './kafkajs-inside.js';

/** A record as kafkajs has read it from an answer. */
export interface FetchedRecord {
  readonly offset: string;
  readonly key: Buffer | null;
  /** Not for applications: it is read over, and the place moves on. */
  isControlRecord: boolean;
  readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean };
}

/** What an answer says of one partition. */
export interface FetchedPartition {
  readonly messages: readonly FetchedRecord[];
  /** Those that touch what was asked for; in the order of their ends. Null for who reads everything. */
  abortedTransactions: readonly { readonly producerId: string; readonly firstOffset: string }[] | null;
}

/**
 * Lets consumers of this client read what is committed, and nothing else. kafkajs 2.2.4 has a filter for that, which takes the aborted transactions of an answer for
 * sorted by their begin, and for one at most between two records: with several producers at work it hands over records that were aborted.
 *
 * @throws HF_INVARIANT with a kafkajs that is made otherwise
 * @source Kafka protocol, Fetch: aborted_transactions
 */
export function readCommittedOnly(kafka: Kafka): Kafka {
  const known = new WeakSet<Broker>();
  eachBroker(kafka, (broker) => {
    if (!known.has(broker)) readingCommitted(broker);
    known.add(broker);
  });
  return kafka;
}

function readingCommitted(broker: Broker): void {
  const fetch = broker.fetch.bind(broker);
  broker.fetch = async (...args) => {
    const answer = await fetch(...args);
    for (const { partitions } of answer.responses) for (const partition of partitions) hideAborted(partition);
    return answer;
  };
}

/** Makes control records of those of aborted transactions, and leaves kafkajs nothing to filter. */
export function hideAborted(partition: FetchedPartition): void {
  const { messages, abortedTransactions } = partition;
  if (abortedTransactions === null || abortedTransactions.length === 0) return;
  const begins = abortedTransactions.map(({ producerId, firstOffset }) => ({ producerId, first: BigInt(firstOffset) }));
  begins.sort((a, b) => (a.first < b.first ? -1 : 1));
  const aborted = new Set<string>();
  for (const message of messages) {
    const { producerId, inTransaction } = message.batchContext;
    for (let [begin] = begins; begin !== undefined && begin.first <= BigInt(message.offset); [begin] = begins) {
      aborted.add(begin.producerId);
      begins.shift();
    }
    if (message.isControlRecord) {
      if (isAbort(message.key)) aborted.delete(producerId);
    } else if (inTransaction && aborted.has(producerId)) message.isControlRecord = true;
  }
  partition.abortedTransactions = [];
}

/** The key of a control record is a version and a kind, of two bytes each. */
function isAbort(key: Buffer | null): boolean {
  return key !== null && key.byteLength >= 4 && key.readInt16BE(2) === 0;
}
