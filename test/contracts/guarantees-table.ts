import type { TransportCapabilities } from '@holdfast/core';
import { DATABASE_CAPABILITIES } from '@holdfast/transport-database';
import { IN_MEMORY_CAPABILITIES } from '@holdfast/transport-in-memory';
import { KAFKA_CAPABILITIES } from '@holdfast/transport-kafka';
import { RABBITMQ_CAPABILITIES } from '@holdfast/transport-rabbitmq';
import { ROCKETMQ_CAPABILITIES } from '@holdfast/transport-rocketmq';

/** A promise, and what a transport with these capabilities makes of it. */
interface Promised {
  readonly promise: string;
  readonly evenWhen: string;
  readonly kept: (capabilities: TransportCapabilities) => string;
}

const always = () => 'yes';

/** The promises of the design (section 4), as far as they are kept today; each is a test of the contract or of the log. */
const PROMISES: readonly Promised[] = [
  {
    promise: 'A committed message is delivered at least once to every subscription; a rolled-back one never.',
    evenWhen: 'kill -9 of a process or of the database server, at any step',
    kept: ({ persistent }) => (persistent ? 'yes' : 'while the process lives'),
  },
  {
    promise: 'One effect per message and subscription, in this database, inside the window (`@Idempotent` with `@Transactional`).',
    evenWhen: 'duplicates, redelivery, many consumers, a redriven dead letter',
    kept: always,
  },
  {
    promise: "Within a key, the order of the transactions that conflict on that key's rows (`ordering: 'key'`).",
    evenWhen: 'several processes, retries, take-overs',
    kept: ({ partitionedDelivery, sharedSubscriptions }) => {
      if (!partitionedDelivery) return 'refused at start';
      return sharedSubscriptions ? 'yes' : 'in one process';
    },
  },
  {
    promise:
      "No business transaction waits for another one's messages or for a consumer, and no message waits for a stranger's transaction.",
    evenWhen: 'a frozen writer, rollbacks, a slow handler',
    kept: always,
  },
  {
    promise:
      'A message that cannot be read (undecodable, too large, invalid, unknown version) is parked with its reason, and the next one is handled.',
    evenWhen: 'bad input of any kind',
    kept: always,
  },
  {
    promise:
      'A command whose handler has committed is answered, one that was rolled back is not, and a repeat of a request gets the same answer (`@Idempotent`).',
    evenWhen: 'kill -9 of who answers at any step, duplicates, connections cut while waiting',
    kept: ({ replies, persistent }) => {
      if (!replies) return 'requests are refused';
      return persistent ? 'yes' : 'while the process lives';
    },
  },
  {
    promise: "What a handler publishes and how far it has read are one transaction of the broker (`protocol: 'kafka'`).",
    evenWhen: 'kill -9 at any step, a frozen process, partitions that move in the midst of a handler, a commit whose answer is lost',
    kept: ({ fencedOffsets }) => (fencedOffsets ? 'yes' : 'refused at start'),
  },
  {
    promise: 'An outage of what a handler needs does not turn its backlog into dead letters: the subscription pauses, and goes on.',
    evenWhen: 'every delivery fails, in order and in batches',
    kept: always,
  },
  {
    promise: 'A message published with `receipt: true` has a receipt for each effect that was committed, and for no other.',
    evenWhen: 'kill -9 of a process at any step, retries, a redriven dead letter',
    kept: ({ persistent }) => (persistent ? 'yes' : 'while the process lives'),
  },
  {
    promise:
      "The same for a unit with `protocol: 'half-message'`: its messages are delivered if it committed, and never if not; no code of yours is asked.",
    evenWhen: 'kill -9 or a freeze between register, COMMIT and broker, a lost answer to COMMIT, a question long after',
    kept: ({ persistent }) => (persistent ? 'yes' : 'while the process lives'),
  },
  {
    promise:
      'A saga ends completed, compensated, or parked in front of a person; each of its steps and compensations has one effect in its database.',
    evenWhen: 'kill -9 or a freeze at any step, the database server killed, two nodes, replies that are lost, doubled or late',
    kept: ({ sharedSubscriptions }) => (sharedSubscriptions ? 'yes' : 'in one process'),
  },
  {
    promise: 'What a saga has asked for and then undone is undone once, and never happens later (`@Compensate(TheCommand)`).',
    evenWhen: 'the undoing comes first, or twice, or while the request is in work or a dead letter; kill -9 at any step',
    kept: ({ sharedSubscriptions }) => (sharedSubscriptions ? 'yes' : 'in one process'),
  },
  {
    promise:
      "`SagaAborted` has each service undo what its handlers with `@Compensate('undo')` did for the saga, once, the last first; what comes later is dropped.",
    evenWhen: 'kill -9 or a freeze at any step, the database server killed, late messages, redriven dead letters',
    kept: ({ persistent }) => (persistent ? 'yes' : 'while the process lives'),
  },
  {
    promise:
      'A try (`@TryConfirmCancel`) is confirmed if its unit commits, and cancelled if not, with one effect in its database, or parked.',
    evenWhen: 'kill -9 or a freeze at any step, the database server killed, a cancel that comes before its try',
    kept: always,
  },
  {
    promise: 'Stop under load finishes or gives back what is in flight, within the deadline.',
    evenWhen: 'SIGTERM',
    kept: ({ persistent }) => (persistent ? 'yes' : 'what is given back is gone'),
  },
];

/** Transports by how they are written in the module's options. */
const TRANSPORTS: Readonly<Record<string, TransportCapabilities>> = {
  'database()': DATABASE_CAPABILITIES,
  'rabbitmq()': RABBITMQ_CAPABILITIES,
  'kafka()': KAFKA_CAPABILITIES,
  'rocketmq()': ROCKETMQ_CAPABILITIES,
  'inMemory()': IN_MEMORY_CAPABILITIES,
};

/** The README's table of guarantees, printed from the records that drive the contract of transports. */
export function guaranteesTable(transports: Readonly<Record<string, TransportCapabilities>> = TRANSPORTS): string {
  const names = Object.keys(transports);
  const rows = PROMISES.map(({ promise, evenWhen, kept }) => [promise, evenWhen, ...Object.values(transports).map(kept)]);
  const head = ['Promise', 'Even when', ...names.map((name) => `\`${name}\``)];
  return [lineOf(head), `|${'---|'.repeat(head.length)}`, ...rows.map(lineOf)].join('\n');
}

function lineOf(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
