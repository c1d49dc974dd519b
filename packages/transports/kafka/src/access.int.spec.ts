import { describeWithOwnKafka, EmbeddedKafka, envelopeOf, KAFKA_START_MS, kafkaAreaAt } from '@holdfast-internal/test-support';
import { eventually, Scene } from './kafka-scene.spec.js';

const USER = { username: 'shop', password: 'let me in' };

describeWithOwnKafka('a Kafka that lets in whom it knows', () => {
  jest.setTimeout(60_000);
  let kafka: EmbeddedKafka;
  let scene: Scene;
  beforeAll(async () => {
    kafka = await EmbeddedKafka.start({ user: USER });
  }, KAFKA_START_MS);
  afterAll(() => kafka?.remove());
  beforeEach(() => {
    scene = new Scene(kafkaAreaAt(kafka.address));
  });
  afterEach(() => scene.close());

  it('lets in a service that says who it is', async () => {
    const { transport, catcher } = await scene.consuming({ sasl: { mechanism: 'plain', ...USER } });
    expect(await transport.publish([envelopeOf('a')])).toEqual(['confirmed']);
    await eventually(
      () => catcher.texts,
      ({ length }) => length === 1,
    );
  });

  it.each([
    ['a wrong password', { mechanism: 'plain', ...USER, password: 'guessed' }],
    ['a mechanism that it does not have', { mechanism: 'scram-sha-256', ...USER }],
  ] as const)('refuses %s, and the start is not tried again', async (_, sasl) => {
    const transport = scene.transport({ sasl, startTimeout: '1h' });
    await expect(transport.start({ subscriptions: [] })).rejects.toMatchObject({ code: 'HF_BROKER_REFUSED' });
  });
});
