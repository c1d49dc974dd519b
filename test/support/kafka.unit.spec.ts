import { kafkaDriver } from './kafka.js';

describe('the driver of the suites of Kafka', () => {
  it('is kafkajs unless another one is named, and a name that is none is refused', () => {
    expect([undefined, '', 'kafkajs', 'confluent'].map((named) => kafkaDriver(named ?? ''))).toEqual([
      'kafkajs',
      'kafkajs',
      'kafkajs',
      'confluent',
    ]);
    expect(() => kafkaDriver('confluant')).toThrow("HOLDFAST_TEST_KAFKA_DRIVER is confluant; use 'kafkajs' or 'confluent'");
  });
});
