import type { Config } from './confluent-library.js';
import type { Settings } from './settings.js';

/** Numbers of librdkafka for what a group says: partitions are this member's from now on, or are not any more. */
export const GIVEN = -175;
export const TAKEN = -174;

/** A new record is there after this at most. */
const MAX_WAIT_MS = 200;
/** Of one partition in one fetch, of all, and of what is fetched ahead. */
const PARTITION_BYTES = 512 * 1024;
const FETCH_BYTES = 4 * 1024 * 1024;
const AHEAD_RECORDS = 2000;
const AHEAD_KILOBYTES = 8 * 1024;
/** Heartbeats in the time after which the group takes us for dead. */
const HEARTBEATS = 5;
/** Longest wait for members that still have to be heard of when partitions are given anew, in sessions. */
const REBALANCE_SESSIONS = 3;
/** Sessions without a word of the broker after which a consumer is given up: longer than partitions may take to be given anew. */
export const SILENT_SESSIONS = REBALANCE_SESSIONS + 1;
/** It says how it is. */
const STATISTICS_MS = 1000;

/** Settings of librdkafka for a member of a group; partitions move a few at a time, as the broker, or one of the members, decides. */
export function memberConfig({ sessionTimeoutMs, groupProtocol }: Settings, group: string): Config {
  const isClassic = groupProtocol === 'classic';
  return {
    'group.id': group,
    'group.protocol': groupProtocol,
    // With the new protocol the broker says how long a session is.
    ...(isClassic
      ? {
          'partition.assignment.strategy': 'cooperative-sticky',
          'session.timeout.ms': sessionTimeoutMs,
          'heartbeat.interval.ms': Math.ceil(sessionTimeoutMs / HEARTBEATS),
        }
      : {}),
    'max.poll.interval.ms': REBALANCE_SESSIONS * sessionTimeoutMs,
    'enable.auto.commit': false,
    offset_commit_cb: true,
    'enable.auto.offset.store': false,
    'isolation.level': 'read_committed',
    'fetch.wait.max.ms': MAX_WAIT_MS,
    'max.partition.fetch.bytes': PARTITION_BYTES,
    'fetch.max.bytes': FETCH_BYTES,
    'queued.min.messages': AHEAD_RECORDS,
    'queued.max.messages.kbytes': AHEAD_KILOBYTES,
    'fetch.queue.backoff.ms': 10,
    'fetch.error.backoff.ms': 100,
    'statistics.interval.ms': STATISTICS_MS,
  };
}

/** Where the group stands nowhere, and where it stands before what is left, the oldest record is next: the newest would skip some. */
export const FROM_THE_OLDEST: Config = { 'auto.offset.reset': 'earliest' };
