import {
  describeWithKafka,
  describeWithRocketmq,
  type KafkaArea,
  kafkaDriver,
  openKafka,
  openRocketmq,
  type RocketmqArea,
} from '@holdfast-internal/test-support';
import type { ProgramOptions } from '../programs/options.js';
import { buildPrograms, killPrograms } from './program.js';

/** The shortest session that a process keeps while the machine is busy. */
const SESSION_MS = 4000;

type KafkaCarrier = Required<Pick<ProgramOptions, 'kafka'>>;
type RocketmqCarrier = Required<Pick<ProgramOptions, 'rocketmq'>>;

/** A suite whose programs speak over Kafka; each carrier has topics and groups of its own. */
export function describeOverKafka(title: string, suite: (carrier: (also?: Partial<KafkaCarrier['kafka']>) => KafkaCarrier) => void): void {
  describeWithKafka(title, () => {
    let area: KafkaArea | undefined;
    beforeAll(async () => {
      buildPrograms();
      area = await openKafka();
    });
    afterAll(() => cleared(area));

    suite((also = {}) => {
      const { address, name, sessionMs } = area as KafkaArea;
      const sessionTimeout = Math.max(SESSION_MS, sessionMs);
      return { kafka: { brokers: [address], driver: kafkaDriver(), prefix: name(), sessionTimeout, ...also } };
    });
  });
}

/** The same over RocketMQ, whose processes have what they received for as long as the broker needs to lose nothing of one that is killed. */
export function describeOverRocketmq(
  title: string,
  suite: (carrier: (also?: Partial<RocketmqCarrier['rocketmq']>) => RocketmqCarrier) => void,
): void {
  describeWithRocketmq(title, () => {
    let area: RocketmqArea | undefined;
    beforeAll(async () => {
      buildPrograms();
      area = await openRocketmq();
    });
    afterAll(() => cleared(area));

    suite((also = {}) => ({ rocketmq: { ...(area as RocketmqArea).options(), awaitDuration: 1000, invisibleDuration: 10_000, ...also } }));
  });
}

async function cleared(area: Pick<KafkaArea, 'clear'> | undefined): Promise<void> {
  await killPrograms();
  await area?.clear();
}
