import { settingsFrom } from './settings.js';

describe('options of rocketmq()', () => {
  it('have defaults, and the name server is beside the proxy', () => {
    expect(settingsFrom({ endpoint: 'proxy:8081;other:8081' })).toMatchObject({
      endpoint: 'proxy:8081;other:8081',
      nameServers: ['proxy:9876'],
      credentials: undefined,
      prefix: 'holdfast_',
      topology: 'assert',
      queues: 8,
      areQueuesGiven: false,
      invisibleMs: 15_000,
      awaitMs: 5000,
    });
  });

  it('put the namespace before every name', () => {
    const { prefix, topics } = settingsFrom({ endpoint: 'p:1', namespace: 'ns', topics: { a: 'b' } });
    expect({ prefix, topics }).toEqual({ prefix: 'ns%holdfast_', topics: { a: 'ns%b' } });
  });

  it('that are wrong are told all together, each with its value and what to write', () => {
    const wrong = {
      endpoint: 'http://x',
      prefix: 'a.b',
      namespace: 'ü',
      topics: { t: 'no dots.' },
      topology: 'make',
      queues: 0,
      accessKey: 'k',
      ssl: 1,
    };
    const times = { requestTimeout: 10, invisibleDuration: '13h', awaitDuration: 0, confirmTimeout: 'soon' };
    let message = '';
    try {
      settingsFrom({ ...wrong, ...times } as never);
    } catch (error) {
      message = (error as Error).message;
    }
    for (const part of ['endpoint', 'prefix', 'namespace', 'topics', 'topology', 'queues', 'accessKey', 'ssl', ...Object.keys(times)])
      expect(message).toContain(part);
    for (const value of ['http://x', 'a.b', 'make', '10', '13h', 'soon']) expect(message).toContain(value);
  });

  it("do not let a message be somebody else's before the wait for it is over", () => {
    const endpoint = 'p:1';
    expect(() => settingsFrom({ endpoint, awaitDuration: '20s' })).toThrow(/invisibleDuration }\) is not above awaitDuration/);
    expect(settingsFrom({ endpoint, awaitDuration: '20s', invisibleDuration: '30s' }).invisibleMs).toBe(30_000);
  });

  it('take no certificates, and say whom the client trusts', () => {
    const ssl = { ca: 'of ours', key: 'hush' } as never;
    expect(() => settingsFrom({ endpoint: 'p:1', ssl })).toThrow(
      /^(?!.*hush).*rocketmq\({ ssl }\).*takes no certificates.*GRPC_DEFAULT_SSL_ROOTS_FILE_PATH/s,
    );
  });

  it('do not show what may be a secret', () => {
    expect(() => settingsFrom({ endpoint: 'p:1', secretKey: 'hush' })).toThrow(/^(?!.*hush).*give both or none/s);
  });
});
