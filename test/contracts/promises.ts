import type { TransportCapabilities } from '@holdfast/core';
import { DATABASE_CAPABILITIES } from '@holdfast/transport-database';
import { IN_MEMORY_CAPABILITIES } from '@holdfast/transport-in-memory';
import { KAFKA_CAPABILITIES } from '@holdfast/transport-kafka';
import { RABBITMQ_CAPABILITIES } from '@holdfast/transport-rabbitmq';
import { ROCKETMQ_CAPABILITIES } from '@holdfast/transport-rocketmq';

/** Where it is proven: beginnings of titles in the contract of transports or in that of stores, or a file of tests (`path`, or `path#part of a title`). */
export type Proof =
  | { readonly contract: readonly string[] }
  | { readonly store: readonly string[] }
  | { readonly files: readonly string[] }
  /** By transports, as they are written in the module's options; one that is left out has none. */
  | { readonly by: Readonly<Record<string, readonly string[]>> };

/** What a transport makes of a promise: keeps it, in some words, or refuses what asks for it with an error. */
export type Kept = string | { readonly refused: string };

/** A promise of the design (section 4), as far as it is kept today. */
export interface Promised {
  /** A few words for a narrow table. */
  readonly short: string;
  readonly promise: string;
  readonly evenWhen: string;
  readonly kept: (capabilities: TransportCapabilities, transport: string) => Kept;
  readonly proofs: readonly Proof[];
}

/** Transports by how they are written in the module's options. `name`: by which their factories go. */
export const TRANSPORTS: Readonly<Record<string, { readonly name: string; readonly capabilities: TransportCapabilities }>> = {
  'database()': { name: 'database', capabilities: DATABASE_CAPABILITIES },
  'rabbitmq()': { name: 'rabbitmq', capabilities: RABBITMQ_CAPABILITIES },
  'kafka()': { name: 'kafka', capabilities: KAFKA_CAPABILITIES },
  'rocketmq()': { name: 'rocketmq', capabilities: ROCKETMQ_CAPABILITIES },
  'inMemory()': { name: 'in-memory', capabilities: IN_MEMORY_CAPABILITIES },
};

/** What an order costs over each of them, above two more statements a message; the parts are named in docs/how-to/keep-order.md. */
const ORDER_COSTS: Readonly<Record<string, string>> = {
  'database()': 'one lane for a key: with a single busy one a quarter of the rate without an order',
  'rabbitmq()': 'a queue for each of 8 partitions, one message of each in work',
  'kafka()': 'one hand-over of a partition in work, and one topic for all its types',
  'rocketmq()': 'one hand-over of a queue in work, and one topic for all its types',
  'inMemory()': 'one message of a key in work',
};

/** What is true of a promise but for a case. */
export const EXCEPTIONS: Readonly<Record<string, string>> = {
  tx: "With `publishMode: 'tx'`, a quorum queue that has a policy `x-overflow: reject-publish` and is full loses what is committed to it: RabbitMQ says nothing of that in a transaction ([Confirms or transactions](docs/how-to/rabbitmq.md#confirms-or-transactions)). Set no such policy in this mode, or keep `'confirm'`, the default.",
};

const always = () => 'yes';
const whileItLives = ({ persistent }: TransportCapabilities) => (persistent ? 'yes' : 'while the process lives');
const overProcesses = ({ sharedSubscriptions }: TransportCapabilities) => (sharedSubscriptions ? 'yes' : 'in one process');

const SAGAS_OVER = 'sagas over two services';
const BANK = 'test/crash/bank.crash.spec.ts#a bank ';
/** Sagas do not differ by what carries their messages; the brokers repeat the deaths. */
const SAGA_DEATHS = {
  'database()': [
    'test/crash/sagas.crash.spec.ts',
    'test/crash/sagas-elsewhere.crash.spec.ts#whose processes are killed at the failpoints on their way all end',
    'test/crash/sagas-elsewhere.crash.spec.ts#go on where they stood when the database server is killed',
    `${BANK}whose services are killed at random, and its database server`,
  ],
  'rabbitmq()': [
    'test/crash/sagas-elsewhere.crash.spec.ts#over RabbitMQ, whose processes are killed',
    `${BANK}whose services are killed at random, and its RabbitMQ`,
  ],
  'kafka()': [`test/crash/over-kafka.crash.spec.ts#${SAGAS_OVER}`, `${BANK}over Kafka`],
  'rocketmq()': [`test/crash/over-rocketmq.crash.spec.ts#${SAGAS_OVER}`, `${BANK}over RocketMQ`],
};
const UNDOING = 'a request is undone once';
const undoingOver = (what: string) => [`test/crash/undoing.crash.spec.ts#over ${what}, ${UNDOING}`];

/** The promises, in the order of the README. */
export const PROMISES: readonly Promised[] = [
  {
    short: 'delivered if committed',
    promise: 'A committed message is delivered at least once to every subscription; a rolled-back one never.',
    evenWhen: 'kill -9 of a process or of the database server, at any step',
    kept: (capabilities, transport) => (transport === 'rabbitmq()' ? 'yes [tx]' : whileItLives(capabilities)),
    proofs: [
      { contract: ['a message reaches every subscription', 'a message that was rolled back', 'a subscription gets what was published'] },
      {
        by: {
          'database()': ['test/crash/failpoints.crash.spec.ts#kill -9 at every failpoint'],
          'rabbitmq()': ['test/crash/over-rabbitmq.crash.spec.ts#kill -9'],
          'kafka()': ['test/crash/over-kafka.crash.spec.ts#kill -9'],
          'rocketmq()': ['test/crash/over-rocketmq.crash.spec.ts#kill -9'],
        },
      },
    ],
  },
  {
    short: 'one effect',
    promise: 'One effect per message and subscription, in this database, inside the window (`@Idempotent` with `@Transactional`).',
    evenWhen: 'duplicates, redelivery, many consumers, a redriven dead letter',
    kept: always,
    proofs: [
      {
        contract: [
          'a message has one effect',
          'a handler that fails is called again when the commit fails',
          'a batch holds a message twice',
          'a subscription is shared by processes',
        ],
      },
    ],
  },
  {
    short: 'order of a key',
    promise: "Within a key, the order of the transactions that conflict on that key's rows (`ordering: 'key'`).",
    evenWhen: 'several processes, retries, take-overs',
    kept: ({ partitionedDelivery, ...others }, transport) => {
      if (!partitionedDelivery) return { refused: 'HF_CONFIG_INVALID' };
      const cost = ORDER_COSTS[transport];
      return `${overProcesses({ partitionedDelivery, ...others })}${cost ? `; costs two more statements a message, and ${cost}` : ''}`;
    },
    proofs: [{ contract: ["with ordering: 'key'"] }],
  },
  {
    short: 'nobody waits',
    promise:
      "No business transaction waits for another one's messages or for a consumer, and no message waits for a stranger's transaction.",
    evenWhen: 'a frozen writer, rollbacks, a slow handler',
    kept: always,
    proofs: [
      { contract: ['without ordering, messages of a key do not wait', 'a few messages that always fail do not hold the others back'] },
      // The log is the same under every transport.
      { files: ['test/log/slow-writer.int.spec.ts', 'test/crash/frozen.crash.spec.ts#a writer frozen'] },
    ],
  },
  {
    short: 'unreadable is parked',
    promise:
      'A message that cannot be read (undecodable, too large, invalid, unknown version) is parked with its reason, and the next one is handled.',
    evenWhen: 'bad input of any kind',
    kept: always,
    proofs: [{ contract: ['a message that cannot be read', 'a handler outside any transaction is parked with what it cannot read'] }],
  },
  {
    short: 'requests are answered',
    promise:
      'A command whose handler has committed is answered, one that was rolled back is not, and a repeat of a request gets the same answer (`@Idempotent`).',
    evenWhen: 'kill -9 of who answers at any step, duplicates, connections cut while waiting',
    kept: (capabilities) => (capabilities.replies ? whileItLives(capabilities) : { refused: 'HF_CAPABILITY_UNSUPPORTED' }),
    proofs: [{ contract: ['a request '] }],
  },
  {
    short: 'Kafka transactions',
    promise: "What a handler publishes and how far it has read are one transaction of the broker (`protocol: 'kafka'`).",
    evenWhen: 'kill -9 at any step, a frozen process, partitions that move in the midst of a handler, a commit whose answer is lost',
    kept: ({ fencedOffsets }) => (fencedOffsets ? 'yes' : { refused: 'HF_CONFIG_INVALID' }),
    proofs: [{ by: { 'kafka()': ['test/e2e/kafka/transactions.e2e.spec.ts', 'test/crash/kafka-transactions.crash.spec.ts'] } }],
  },
  {
    short: 'outages pause',
    promise: 'An outage of what a handler needs does not turn its backlog into dead letters: the subscription pauses, and goes on.',
    evenWhen: 'every delivery fails, in order and in batches',
    kept: always,
    proofs: [{ contract: ['an outage of a handler'] }],
  },
  {
    short: 'receipts',
    promise: 'A message published with `receipt: true` has a receipt for each effect that was committed, and for no other.',
    evenWhen: 'kill -9 of a process at any step, retries, a redriven dead letter',
    kept: whileItLives,
    proofs: [{ contract: ['a message with receipt: true', 'a message without receipt: true'] }],
  },
  {
    short: 'half messages',
    promise:
      "The same for a unit with `protocol: 'half-message'`: its messages are delivered if it committed, and never if not; no code of yours is asked.",
    evenWhen: 'kill -9 or a freeze between register, COMMIT and broker, a lost answer to COMMIT, a question long after',
    kept: whileItLives,
    proofs: [{ contract: ['half messages '] }],
  },
  {
    short: 'sagas end',
    promise:
      'A saga ends completed, compensated, or parked in front of a person; each of its steps and compensations has one effect in its database.',
    evenWhen: 'kill -9 or a freeze at any step, the database server killed, two nodes, replies that are lost, doubled or late',
    kept: overProcesses,
    proofs: [{ store: ['sagas '] }, { by: SAGA_DEATHS }],
  },
  {
    short: 'undone once, never later',
    promise: 'What a saga has asked for and then undone is undone once, and never happens later (`@Compensate(TheCommand)`).',
    evenWhen: 'the undoing comes first, or twice, or while the request is in work or a dead letter; kill -9 at any step',
    kept: overProcesses,
    proofs: [
      { store: ['guard rows of steps elsewhere ', 'the memory of a request '] },
      {
        by: {
          'database()': undoingOver('the database'),
          'rabbitmq()': undoingOver('RabbitMQ'),
          'kafka()': undoingOver('Kafka'),
          'rocketmq()': undoingOver('RocketMQ'),
        },
      },
    ],
  },
  {
    short: 'SagaAborted undoes',
    promise:
      "`SagaAborted` has each service undo what its handlers with `@Compensate('undo')` did for the saga, once, the last first; what comes later is dropped.",
    evenWhen: 'kill -9 or a freeze at any step, the database server killed, late messages, redriven dead letters',
    kept: whileItLives,
    proofs: [{ contract: ['an aborted saga '] }],
  },
  {
    short: 'tries end as their unit',
    promise:
      'A try (`@TryConfirmCancel`) is confirmed if its unit commits, and cancelled if not, with one effect in its database, or parked.',
    evenWhen: 'kill -9 or a freeze at any step, the database server killed, a cancel that comes before its try',
    kept: always,
    // No transport has a part in it.
    proofs: [{ store: ['branches '] }, { files: ['test/crash/tries.crash.spec.ts'] }],
  },
  {
    short: 'stop in time',
    promise: 'Stop under load finishes or gives back what is in flight, within the deadline.',
    evenWhen: 'SIGTERM',
    kept: ({ persistent }) => (persistent ? 'yes' : 'what is given back is gone'),
    proofs: [{ contract: ['stopping '] }],
  },
];
