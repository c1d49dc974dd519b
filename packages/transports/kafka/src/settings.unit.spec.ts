import { type KafkaOptions, settingsFrom } from './settings.js';

const brokers = ['localhost:9092'];

/** What is wrong with options, as they might come from JavaScript. */
function problemsOf(options: Record<string, unknown>): readonly string[] {
  try {
    settingsFrom({ brokers, ...options } as unknown as KafkaOptions);
    return [];
  } catch (error) {
    return (error as { readonly details: { readonly problems: readonly string[] } }).details.problems;
  }
}

describe('options of kafka', () => {
  it('have defaults', () => {
    expect(settingsFrom({ brokers: ['a:1', '[::1]:2'] })).toEqual({
      brokers: ['a:1', '[::1]:2'],
      address: 'a:1, [::1]:2',
      ssl: false,
      sasl: undefined,
      driver: 'kafkajs',
      groupProtocol: 'classic',
      prefix: 'holdfast.',
      topics: {},
      topology: 'assert',
      partitions: 8,
      arePartitionsGiven: false,
      replicationFactor: -1,
      transactionalId: undefined,
      transactionalProducers: 64,
      confirmTimeoutMs: 30_000,
      requestTimeoutMs: 10_000,
      startTimeoutMs: 30_000,
      sessionTimeoutMs: 10_000,
      lagIntervalMs: 30_000,
    });
  });

  it.each([
    [{ brokers: 'localhost:9092' }, /^kafka\({ brokers }\) is .*give a list of addresses/],
    [{ brokers: [] }, /brokers/],
    [{ brokers: ['localhost'] }, /brokers/],
    [{ ssl: 'yes' }, /ssl/],
    [{ sasl: { mechanism: 'magic', username: 'u', password: 'p' } }, /has no mechanism/],
    [{ sasl: { mechanism: 'plain', username: 'u' } }, /no username or no password/],
    [{ prefix: 'a/b' }, /prefix/],
    [{ topics: { 'order.placed': 'a b' } }, /topics.* a b for order.placed/],
    [{ topology: 'create' }, /topology/],
    [{ partitions: 0 }, /partitions/],
    [{ partitions: 1.5 }, /partitions/],
    [{ replicationFactor: -1 }, /replicationFactor/],
    [{ transactionalId: 'a b' }, /transactionalId }\) is a b; use up to 100 printable characters/],
    [{ transactionalProducers: 0 }, /transactionalProducers }\) is 0; use a whole number from 1/],
    [{ confirmTimeout: 0 }, /confirmTimeout/],
    [{ sessionTimeout: 'soon' }, /sessionTimeout/],
    [{ lagInterval: 0 }, /lagInterval/],
    [{ lagInterval: true }, /lagInterval/],
    [{ sessionTimeout: '30s' }, /sessionTimeout }\) is not below startTimeout/],
    [{ driver: 'java' }, /driver }\) is java; use 'kafkajs' or 'confluent'/],
    [{ driver: 'confluent', groupProtocol: 'share' }, /groupProtocol }\) is share; use 'classic' or 'consumer'/],
    [{ groupProtocol: 'consumer' }, /which kafkajs does not speak; use driver: 'confluent'/],
    [{ driver: 'confluent', groupProtocol: 'consumer', sessionTimeout: '5s' }, /sessionTimeout }\) is the broker's to say/],
    [{ driver: 'confluent', ssl: { servername: 'elsewhere' } }, /servername, which driver: 'confluent' cannot check/],
  ])('are refused with what to write instead: %j', (options, problem) => {
    const problems = problemsOf(options);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(problem);
  });

  it('count no lag where that is switched off, and with the second driver where it is not switched on', () => {
    expect(settingsFrom({ brokers, lagInterval: false }).lagIntervalMs).toBeUndefined();
    expect(settingsFrom({ brokers, driver: 'confluent' }).lagIntervalMs).toBeUndefined();
    expect(settingsFrom({ brokers, driver: 'confluent', lagInterval: '1m' }).lagIntervalMs).toBe(60_000);
  });

  it('are refused all together, and passwords are not shown', () => {
    const problems = problemsOf({ brokers: [], ssl: 1, sasl: { mechanism: 'secret-1', password: 'secret-2' } });
    expect(problems).toHaveLength(4);
    expect(problems.join()).not.toMatch(/secret/);
  });
});
