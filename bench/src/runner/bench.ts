import { EmbeddedPostgres } from '@holdfast-internal/embedded-postgres';
import { type KafkaArea, type KafkaPlace, openKafka } from './kafka.js';
import { openRabbit, type RabbitArea, type RabbitPlace } from './rabbit.js';
import { openRocketmq, type RocketmqArea, type RocketmqPlace } from './rocketmq.js';
import type { Result } from './result.js';

/** One part of the benchmark; it answers with one line per target. */
export interface Case {
  /** As `--only` names it. */
  readonly name: string;
  run(bench: Bench): Promise<readonly Result[]>;
}

/** What a case may use. */
export interface Bench {
  readonly isQuick: boolean;
  /** `full` or `quick`, whichever this run is. */
  size(full: number, quick: number): number;
  /** Address of a new, empty database of the run's server; `settings` are those of its sessions. */
  database(settings?: Readonly<Record<string, string>>): Promise<string>;
  /** A place of its own on the RabbitMQ of this machine. @throws Skipped when there is none */
  rabbit(): Promise<RabbitPlace>;
  /** A place of its own on a Kafka. @throws Skipped when there is none */
  kafka(): Promise<KafkaPlace>;
  /** A place of its own on a RocketMQ. @throws Skipped when there is none */
  rocketmq(): Promise<RocketmqPlace>;
  /** What the server has logged so far. */
  serverLog(): string;
  /** Says what goes on, on the terminal only. */
  note(text: string): void;
}

/** Settings of the server: everything that makes a commit durable is on, and no checkpoint falls into a single round. */
const SERVER = {
  fsync: true,
  synchronous_commit: 'on',
  full_page_writes: 'on',
  wal_level: 'replica',
  shared_buffers: '256MB',
  max_wal_size: '8GB',
  checkpoint_timeout: '1h',
  log_line_prefix: '%d %m %p ',
};

/** Starts the server of a run. */
export async function openBench(isQuick: boolean): Promise<Bench & { close(): Promise<void> }> {
  const { fsync, ...settings } = SERVER;
  const server = await EmbeddedPostgres.start({ fsync, settings });
  let made = 0;
  let area: Promise<RabbitArea> | undefined;
  let kafka: Promise<KafkaArea> | undefined;
  let rocketmq: Promise<RocketmqArea> | undefined;
  return {
    isQuick,
    size: (full, quick) => (isQuick ? quick : full),
    serverLog: () => server.log,
    note: (text) => process.stderr.write(`  ${text}\n`),
    rabbit: async () => {
      area ??= openRabbit();
      return (await area).place();
    },
    kafka: async () => {
      kafka ??= openKafka();
      return (await kafka).place();
    },
    rocketmq: async () => {
      rocketmq ??= openRocketmq();
      return (await rocketmq).place();
    },
    close: async () => {
      for (const each of [area, kafka, rocketmq])
        await each?.then(
          (opened) => opened.close(),
          () => undefined,
        );
      await server.remove();
    },
    database: async (given = {}) => {
      made += 1;
      const url = await server.createDatabase(`bench_${made}`);
      return Object.keys(given).length === 0 ? url : withSettings(url, given);
    },
  };
}

/** Sessions opened with this address have the settings. */
function withSettings(url: string, settings: Readonly<Record<string, string>>): string {
  const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  return `${url}?options=${encodeURIComponent(options.join(' '))}`;
}
