import {
  Authority,
  describeWithOwnKafka,
  EmbeddedKafka,
  envelopeOf,
  kafkaAreaAt,
  kafkaDriver,
  eventually,
} from '@holdfast-internal/test-support';
import { type BrokerTlsOptions, systemScheduler } from '@holdfast/core';
import { checkThatItSettles } from './broker-versions.js';
import { Scene } from './kafka-scene.spec.js';
import { settingsFrom } from './settings.js';

/** Where nothing can make certificates it is skipped. */
const describeOverTls = Authority.isPossible ? describeWithOwnKafka : describe.skip;
const USER = { username: 'shop', password: 'let me in' };

describeWithOwnKafka('a Kafka that lets in whom it knows', () => {
  let kafka: EmbeddedKafka;
  let scene: Scene;
  beforeAll(async () => {
    kafka = await EmbeddedKafka.start({ user: USER });
  });
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

  it('says what it can do before anybody has said who he is', async () => {
    await checkThatItSettles({ settings: settingsFrom({ brokers: [kafka.address] }), scheduler: systemScheduler });
  });

  it.each([
    ['a wrong password', { mechanism: 'plain', ...USER, password: 'guessed' }],
    ['a mechanism that it does not have', { mechanism: 'scram-sha-256', ...USER }],
  ] as const)('refuses %s, and the start is not tried again', async (_, sasl) => {
    const transport = scene.transport({ sasl, startTimeout: '1h' });
    await expect(transport.start({ subscriptions: [] })).rejects.toMatchObject({ code: 'HF_BROKER_REFUSED' });
  });
});

describeOverTls('a Kafka over TLS', () => {
  let authority: Authority;
  let kafka: EmbeddedKafka;
  let scene: Scene;
  /** What a service proves itself with. */
  let own: Pick<BrokerTlsOptions, 'cert' | 'key'>;
  beforeAll(async () => {
    authority = Authority.make();
    const [{ cert, key }, broker] = [authority.certificateFor('shop'), authority.certificateFor('localhost')];
    own = { cert, key };
    kafka = await EmbeddedKafka.start({ tls: { ca: authority.cert, cert: broker.cert, key: broker.key } });
  });
  afterAll(async () => {
    await kafka?.remove();
    authority?.remove();
  });
  beforeEach(() => {
    scene = new Scene(kafkaAreaAt(kafka.address));
  });
  afterEach(() => scene.close());

  it('carries messages when each side knows whom the other is', async () => {
    const { transport, catcher } = await scene.consuming({ ssl: { ca: authority.cert, ...own } });
    expect(await transport.publish([envelopeOf('a')])).toEqual(['confirmed']);
    await eventually(
      () => catcher.texts,
      ({ length }) => length === 1,
    );
  });

  it('says what it can do to whom it trusts', async () => {
    const check = (ssl: boolean | BrokerTlsOptions) =>
      checkThatItSettles({ settings: settingsFrom({ brokers: [kafka.address], ssl }), scheduler: systemScheduler });
    await check({ ca: authority.cert, ...own });
    await expect(check(true)).rejects.toThrow(/unable to|self-signed|verify/);
    await expect(check({ ca: authority.cert, ...own, servername: 'elsewhere' })).rejects.toThrow(/elsewhere/);
  });

  it.each<[string, () => boolean | BrokerTlsOptions, RegExp]>([
    [
      'its authority is not trusted',
      () => true,
      /(unable to|self-signed|verify failed).* \(certificates and names are given with kafka\(\{ ssl \}\)\)/,
    ],
    [
      'its certificate is for another name',
      () => ({ ca: authority.cert, ...own, servername: 'elsewhere' }),
      kafkaDriver() === 'confluent' ? /cannot check/ : /elsewhere.*kafka\(\{ ssl \}\)/,
    ],
    ['it is shown no certificate', () => ({ ca: authority.cert }), /certificate.*kafka\(\{ ssl \}\)/],
  ])('is not spoken to when %s, which the refused start says', async (_, ssl, sentence) => {
    const start = async () => scene.transport({ ssl: ssl(), startTimeout: '3s', sessionTimeout: '2s' }).start({ subscriptions: [] });
    await expect(start()).rejects.toThrow(sentence);
  });
});
