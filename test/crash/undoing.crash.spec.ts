// A process dies when it undoes a request: the request is undone once, or never runs.
import { describeWithRabbit, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import type { Carrier } from './programs/carriers.js';
import { openArenaWithStore } from './support/arena.js';
import { describeOverKafka, describeOverRocketmq } from './support/carried.js';
import { buildPrograms } from './support/program.js';
import { endOfUndoing, UNDO_DEATHS, type UndoDeath } from './support/undoing.js';

async function expectUndone(death: UndoDeath, carrier: Carrier = {}): Promise<void> {
  const arena = await openArenaWithStore(2);
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

describeOverKafka('over Kafka, a request is undone once, or never runs, when the process dies', (carrier) => {
  it.concurrent.each(IN_A_TRANSACTION)(TITLE, (death) => expectUndone(death, carrier()));
});

describeOverRocketmq('over RocketMQ, a request is undone once, or never runs, when the process dies', (carrier) => {
  it.concurrent.each(IN_A_TRANSACTION)(TITLE, (death) => expectUndone(death, carrier()));
});
