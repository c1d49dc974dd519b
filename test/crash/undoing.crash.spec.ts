// A process dies when it undoes a request: the request is undone once, or never runs.
import {
  describeWithKafka,
  describeWithRabbit,
  describeWithRocketmq,
  KAFKA_START_MS,
  kafkaDriver,
  type KafkaArea,
  openKafka,
  openRabbit,
  openRocketmq,
  type RabbitArea,
  ROCKETMQ_START_MS,
  type RocketmqArea,
} from '@holdfast-internal/test-support';
import type { Carrier } from './programs/carriers.js';
import { openArena } from './support/arena.js';
import { buildPrograms } from './support/program.js';
import { endOfUndoing, UNDO_DEATHS, type UndoDeath } from './support/undoing.js';

jest.setTimeout(120_000);

async function expectUndone(death: UndoDeath, carrier: Carrier = {}): Promise<void> {
  const arena = await openArena();
  const { effects, memory, ...end } = await endOfUndoing(arena, death, carrier);
  await arena.close();
  const refunds = death.isRepeated ? ['refund', 'refund'] : ['refund'];
  const expected = death.hasRun ? { effects: ['charge', ...refunds], memory: ['compensated'] } : { effects: [], memory: ['cancelled'] };
  expect({ effects, memory, ...end }).toEqual({
    signal: 'SIGKILL',
    answer: 'holdfast.reply',
    ...expected,
  });
}

const AT_THE_GUARD = UNDO_DEATHS.filter(({ at }) => at === 'guard:after-write');
const TITLE = 'at $at, transactional $isTransactional, of a request that has run: $hasRun';

// Side by side: most of their time is waiting until a dead process is found.
describe('over the database, a request is undone once, or never runs, when the process dies', () => {
  beforeAll(buildPrograms);

  it.concurrent.each(UNDO_DEATHS)(TITLE, (death) => expectUndone(death));
});

describeWithRabbit('over RabbitMQ, a request is undone once, or never runs, when the process dies', () => {
  let area: RabbitArea;
  beforeAll(async () => {
    buildPrograms();
    area = await openRabbit();
  });
  afterAll(() => area.drop());

  it.concurrent.each(AT_THE_GUARD)(TITLE, (death) => expectUndone(death, { broker: { url: area.url, exchange: area.name() } }));
});

const IN_A_TRANSACTION = AT_THE_GUARD.filter(({ isTransactional }) => isTransactional);

describeWithKafka('over Kafka, a request is undone once, or never runs, when the process dies', () => {
  let area: KafkaArea | undefined;
  beforeAll(async () => {
    buildPrograms();
    area = await openKafka();
  }, KAFKA_START_MS);
  afterAll(() => area?.clear());

  it.concurrent.each(IN_A_TRANSACTION)(TITLE, (death) => {
    const { address, name, sessionMs } = area as KafkaArea;
    const kafka = { brokers: [address], driver: kafkaDriver(), prefix: name(), sessionTimeout: Math.max(4000, sessionMs) };
    return expectUndone(death, { kafka });
  });
});

describeWithRocketmq('over RocketMQ, a request is undone once, or never runs, when the process dies', () => {
  let area: RocketmqArea | undefined;
  beforeAll(async () => {
    buildPrograms();
    area = await openRocketmq();
  }, ROCKETMQ_START_MS);
  afterAll(() => area?.clear());

  it.concurrent.each(IN_A_TRANSACTION)(TITLE, (death) =>
    expectUndone(death, { rocketmq: { ...(area as RocketmqArea).options(), awaitDuration: 1000 } }),
  );
});
