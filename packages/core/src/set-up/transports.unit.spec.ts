import { Holdfast } from '../holdfast.js';
import { Message } from '../message/message.js';
import { silentLogger } from '../monitoring/logger.js';
import type { HoldfastOptions } from '../options.js';
import type { Envelope } from '../message/envelope.js';
import { addressOf, type TransportCapabilities, type TransportFactory } from '../transport/transport.port.js';

@Message('shop.paid')
class Paid {}

@Message('shop.viewed', { destination: 'events:views' })
class Viewed {}

@Message('shop.lost', { destination: 'nowhere:views' })
class Lost {}

const CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: false,
  sharedSubscriptions: true,
  partitionedDelivery: true,
  fromEarliest: true,
  withoutStore: true,
  renamedSubscriptions: true,
  replies: true,
  addresses: true,
};

/** A transport that confirms everything and notes it as `kind address`. */
function noting(transport: string, also: Partial<TransportCapabilities> = {}, sent: string[] = []): TransportFactory {
  const capabilities = { ...CAPABILITIES, ...also };
  return {
    transport,
    capabilities,
    create: () => ({
      capabilities,
      isBusy: false,
      health: { status: 'up', problem: undefined },
      start: async () => undefined,
      subscribe: async () => undefined,
      openReplies: async () => '',
      nudge: () => undefined,
      drain: async () => undefined,
      close: async () => undefined,
      publish: async (batch: readonly Envelope[]) => {
        sent.push(...batch.map((envelope) => `${transport} ${addressOf(envelope)}`));
        return batch.map(() => 'confirmed' as const);
      },
    }),
  };
}

function busOf(options: object): Holdfast {
  return new Holdfast({ service: 'shop', ...options } as HoldfastOptions, { logger: silentLogger });
}

async function problemsOf(bus: Holdfast): Promise<unknown> {
  return bus.start().then(
    () => [],
    (error: { readonly details: { readonly problems: unknown } }) => error.details.problems,
  );
}

const handler = () => undefined;

describe('transports', () => {
  const refused: readonly (readonly [string, () => Holdfast, readonly string[]])[] = [
    [
      'of which none is the default',
      () => busOf({ transports: { events: noting('kafka') } }),
      ['transports has no default, only events; name the one that carries what names no other: default'],
    ],
    [
      'whose names stand in no destination',
      () => busOf({ transports: { default: noting('rabbitmq'), 'the events': noting('kafka') } }),
      [
        'the events cannot be the name of a transport: it stands before the colon of a destination, and in the tables of the log. Use 1 to 40 of the signs a-z, A-Z, 0-9, _ and -, a letter first.',
      ],
    ],
    [
      'that were not called',
      () => busOf({ transports: { default: noting('rabbitmq'), events: noting as never } }),
      ['transports.events is not a transport; call the function, as in transports.events: database()'],
    ],
    [
      'of which another than the default reads the log, or needs a store that is not there',
      () => busOf({ transports: { default: noting('rabbitmq'), log: noting('database', { readsLog: true, withoutStore: false }) } }),
      [
        'transports.log is database, which reads the log that the default transport would send; make it the default, and name the broker beside it',
        'the transport log (database) needs a store; add one, such as store: typeorm()',
      ],
    ],
    [
      'of which two would serve one subscription',
      () =>
        busOf({ transports: { default: noting('rabbitmq'), events: noting('kafka') } }).on([Paid, Viewed], handler, { name: 'shop.book' }),
      [
        'subscription "shop.book": its types are on several transports (shop.paid on default, shop.viewed on events), and one serves a subscription; make a handler for each',
      ],
    ],
    [
      'of which none is that of a subscription',
      () => busOf({ transports: { default: noting('rabbitmq'), events: noting('kafka') } }).on(Lost, handler, { name: 'shop.book' }),
      [
        'subscription "shop.book": The destination nowhere:views names a transport that is not registered; registered are: default, events. Register the transport under that name, or write \'<transport>:<address>\' with one that is.',
      ],
    ],
    [
      'of which its own cannot keep what a subscription asks for',
      () =>
        busOf({ transports: { default: noting('rabbitmq'), events: noting('kafka', { fromEarliest: false }) } })
          .on(Paid, handler, { name: 'shop.book', from: 'earliest' })
          .on(Viewed, handler, { name: 'shop.count', from: 'earliest' }),
      [`subscription "shop.count": from: 'earliest' is not possible with events (kafka), which keeps nothing; leave it out`],
    ],
  ];

  it.each(refused)('%s are refused with the fix', async (_, make, problems) => {
    expect(await problemsOf(make())).toEqual(problems);
  });

  it('in memory are refused in production, each by its name', async () => {
    const before = process.env.NODE_ENV;
    process.env.NODE_ENV = 'production';
    try {
      const bus = busOf({ transports: { default: noting('rabbitmq'), events: noting('in-memory', { persistent: false }) } });
      expect(await problemsOf(bus)).toEqual([
        expect.stringContaining('The transport events (in-memory) keeps everything in memory, and NODE_ENV is production.'),
      ]);
    } finally {
      process.env.NODE_ENV = before;
    }
  });

  it('get what names them, the default what names none', async () => {
    const sent: string[] = [];
    const { bus } = busOf({ transports: { default: noting('rabbitmq', {}, sent), events: noting('kafka', {}, sent) } });
    await bus.publish(new Paid());
    await bus.publish(new Viewed());
    for (const destination of ['events:shop.viewed', 'events:views:old', 'default:views', 'views'])
      await bus.publish(new Viewed(), { destination });
    expect(sent).toEqual(['rabbitmq shop.paid', 'kafka views', 'kafka shop.viewed', 'kafka views:old', 'rabbitmq views', 'rabbitmq views']);
  });

  it.each([
    ['audit:views', 'HF_DESTINATION_UNKNOWN'],
    ['events:', 'HF_DESTINATION_ADDRESS'],
    [' ', 'HF_DESTINATION_ADDRESS'],
    ['plain:views', 'HF_CAPABILITY_UNSUPPORTED'],
  ])('refuse the destination %j at the call', async (destination, code) => {
    const transports = { default: noting('rabbitmq'), events: noting('kafka'), plain: noting('plain', { addresses: false }) };
    await expect(busOf({ transports }).bus.publish(new Viewed(), { destination })).rejects.toMatchObject({ code });
  });
});
