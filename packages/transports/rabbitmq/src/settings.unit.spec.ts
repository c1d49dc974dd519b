import { type RabbitmqOptions, settingsFrom } from './settings.js';

const problemsOf = (options: Partial<Record<keyof RabbitmqOptions, unknown>>): string => {
  try {
    settingsFrom({ url: 'amqp://broker', ...options } as RabbitmqOptions);
    return '';
  } catch (error) {
    expect(error).toMatchObject({ code: 'HF_CONFIG_INVALID' });
    return String((error as Error).message);
  }
};

describe('the options of rabbitmq', () => {
  it('have defaults, and show the address without user and password', () => {
    expect(settingsFrom({ url: 'amqps://ada:secret@broker:5671/shop' })).toEqual({
      nodes: [{ url: 'amqps://ada:secret@broker:5671/shop', address: 'amqps://broker:5671/shop' }],
      exchange: 'holdfast',
      foreign: [],
      partitions: 8,
      prefetch: undefined,
      publishMode: 'confirm',
      topology: 'assert',
      window: 256,
      confirmTimeoutMs: 30_000,
      requestTimeoutMs: 10_000,
      startTimeoutMs: 30_000,
      heartbeatS: 10,
    });
  });

  it('have a larger window where a batch is a transaction', () => {
    expect(settingsFrom({ url: 'amqp://broker', publishMode: 'tx' })).toMatchObject({ publishMode: 'tx', window: 1000 });
    expect(settingsFrom({ url: 'amqp://broker', publishMode: 'tx', window: 5 })).toMatchObject({ window: 5 });
  });

  it.each<[Partial<Record<keyof RabbitmqOptions, unknown>>, RegExp]>([
    [{ url: 'http://broker' }, /url }\) is no address such as amqp:/],
    [{ url: undefined }, /url }\) is no address/],
    [{ url: [] }, /url }\) is no address .*, and no list of them/],
    [{ url: ['amqp://a', 'b'] }, /url }\) is no address/],
    [{ tls: 'ca.pem' }, /tls }\) is no object with names; write/],
    [{ tls: Buffer.from('-----') }, /tls }\) is no object with names/],
    [{ url: 'amqps://broker', tls: { servername: 5 } }, /tls }\) has a servername that is no name/],
    [{ url: 'AMQP://broker', tls: {} }, /tls }\) is for addresses that begin with amqps:/],
    [{ tls: {} }, /tls }\) is for addresses that begin with amqps:/],
    [{ url: 'amqps://broker', tls: { ca: 'none', cert: 'c' } }, /tls }\) has one of cert and key; give both/],
    [{ url: 'amqps://broker', tls: { cert: 'c', key: 'k' } }, /tls }\) cannot be read: /],
    [{ url: 'amqps://broker', tls: { rejectUnauthorized: false } }, /tls }\) has rejectUnauthorized; use ca, cert, key/],
    [{ prefetch: 0 }, /prefetch }\) is 0; use a whole number from 1 to 65535/],
    [{ prefetch: 65_536 }, /prefetch }\) is 65536/],
    [{ exchange: 'a/b' }, /exchange }\) is a\/b; use up to 100 letters/],
    [{ exchange: 'amq.topic' }, /not beginning with amq\./],
    [{ topology: 'create' }, /topology }\) is create; use 'assert', 'check' or 'none'/],
    [{ publishMode: 'transaction' }, /publishMode }\) is transaction; use 'confirm' or 'tx'/],
    [{ window: 0 }, /window }\) is 0; use a whole number from 1 to 65535/],
    [{ window: 1.5 }, /window }\) is 1.5/],
    [{ heartbeat: 1500 }, /heartbeat }\) is 1500; use whole seconds/],
    [{ heartbeat: 0 }, /heartbeat }\) is 0; give it some time/],
    [{ confirmTimeout: 'soon' }, /confirmTimeout }\) is not a length of time: soon/],
    [{ foreign: 'legacy' }, /foreign }\) is legacy; give a list/],
    [{ foreign: [undefined] }, /foreign }\) has undefined; give the name of a subscription, and either exchange/],
    [{ foreign: [{ subscription: 'a' }] }, /foreign }\) has {"subscription":"a"}; give/],
    [{ foreign: [{ subscription: 'a', exchange: 'x', queue: 'q' }] }, /foreign }\) has .*"queue":"q"}; give/],
    [{ foreign: [{ subscription: 'a', queue: 'q', routingKey: '#' }] }, /foreign }\) has /],
    [{ foreign: [{ subscription: '', queue: 'q' }] }, /foreign }\) has /],
    [
      { foreign: ['a', 'b'].map((subscription) => ({ subscription, queue: 'q' })) },
      /foreign }\) has the queue q twice; each of its messages/,
    ],
    [{ startTimeout: 0 }, /startTimeout }\) is 0; give it some time/],
  ])('%p are refused with the value and the fix', (options, sentence) => {
    expect(problemsOf(options)).toMatch(sentence);
  });

  it('are told with everything that is wrong, and never with the password', () => {
    const text = problemsOf({ url: 'amq://ada:secret@broker', window: -1, topology: 5 });
    for (const name of ['url', 'window', 'topology']) expect(text).toContain(`rabbitmq({ ${name} })`);
    expect(text).not.toContain('secret');
  });
});
