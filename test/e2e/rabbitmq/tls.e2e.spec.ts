// A broker that is spoken to over TLS only, and asks every client for a certificate.
import { Authority, describeWithOwnRabbit, eventually, freePort, EmbeddedRabbitmq } from '@holdfast-internal/test-support';
import { type Duration, Holdfast, Message, silentLogger } from '@holdfast/core';
import { type BrokerTlsOptions, rabbitmq } from '@holdfast/transport-rabbitmq';

@Message('shop.order-placed')
class OrderPlaced {
  constructor(
    readonly n: number,
    readonly ballast = 'x'.repeat(2000),
  ) {}
}

const MESSAGES = 200;
/** Where nothing can make certificates it is skipped. */
const describeOverTls = Authority.isPossible ? describeWithOwnRabbit : describe.skip;

describeOverTls('a broker over TLS', () => {
  let authority: Authority;
  let rabbit: EmbeddedRabbitmq;
  let url: string;
  /** What a service proves itself with. */
  let own: Required<Pick<BrokerTlsOptions, 'cert' | 'key'>>;
  const buses: Holdfast[] = [];

  beforeAll(async () => {
    authority = Authority.make();
    const { cert, key } = authority.certificateFor('orders');
    own = { cert, key };
    const { certFile, keyFile } = authority.certificateFor('localhost');
    const port = await freePort();
    rabbit = await EmbeddedRabbitmq.start([
      `listeners.ssl.1 = 127.0.0.1:${port}`,
      `ssl_options.cacertfile = ${authority.certFile}`,
      `ssl_options.certfile = ${certFile}`,
      `ssl_options.keyfile = ${keyFile}`,
      'ssl_options.verify = verify_peer',
      'ssl_options.fail_if_no_peer_cert = true',
    ]);
    url = `amqps://guest:guest@localhost:${port}`;
  });
  afterEach(async () => {
    for (const bus of buses.splice(0)) await bus.stop({ timeout: '2s' });
  });
  afterAll(async () => {
    await rabbit.remove();
    authority.remove();
  });

  const busWith = (tls: BrokerTlsOptions | undefined, startTimeout: Duration, seen: number[] = []): Holdfast => {
    const bus = new Holdfast(
      { service: 'shop', transport: rabbitmq({ url, startTimeout, ...(tls ? { tls } : {}) }) },
      { logger: silentLogger },
    );
    bus.on(OrderPlaced, ({ n }) => void seen.push(n), { name: 'shop.book', concurrency: 1 });
    buses.push(bus);
    return bus;
  };
  const refusalOf = (tls?: BrokerTlsOptions): Promise<string> =>
    busWith(tls, '5s')
      .start()
      .then(
        () => 'started',
        ({ message }: Error) => message,
      );

  it('carries messages when each side knows whom the other is', async () => {
    const seen: number[] = [];
    const bus = busWith({ ca: authority.cert, ...own }, '60s', seen);
    await bus.start();
    await Promise.all(Array.from({ length: MESSAGES }, (_, n) => bus.bus.publish(new OrderPlaced(n), { key: 'k' })));
    await eventually(
      () => seen.length,
      (count) => count >= MESSAGES,
    );
    expect(seen).toEqual(Array.from({ length: MESSAGES }, (_, n) => n));
  });

  it.each<[string, () => BrokerTlsOptions | undefined, RegExp]>([
    [
      'its authority is not trusted',
      () => ({ ...own }),
      /(unable to|self-signed).* \(certificates and names are given with rabbitmq\(\{ tls \}\)\)/,
    ],
    [
      'its certificate is for another name',
      () => ({ ca: authority.cert, ...own, servername: 'elsewhere' }),
      /elsewhere.*rabbitmq\(\{ tls \}\)/,
    ],
    ['it is shown no certificate', () => ({ ca: authority.cert }), /certificate required.*rabbitmq\(\{ tls \}\)/],
  ])('is not spoken to when %s, which the refused start says', async (_, tls, sentence) => {
    expect(await refusalOf(tls())).toMatch(sentence);
  });
});
