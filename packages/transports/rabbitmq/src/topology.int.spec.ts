import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import {
  type Admin,
  Catcher,
  describeWithRabbit,
  envelopeOf,
  openRabbit,
  quiet,
  type RabbitArea,
  specOf,
  eventually,
} from '@holdfast-internal/test-support';
import { type Store, subscribe } from '@holdfast/core';
import { Scene } from './rabbit-scene.spec.js';

describeWithRabbit('a start', () => {
  let area: RabbitArea;
  let scene: Scene;
  const queues: string[] = [];
  beforeAll(async () => {
    area = await openRabbit();
  });
  afterAll(() => area.drop(queues));
  beforeEach(async () => {
    scene = await Scene.open(area);
    queues.push(...['reader', 'other'].flatMap((name) => [scene.queueOf(name), scene.deadLettersOf(name)]));
  });
  afterEach(async () => {
    await scene.close();
    await area.clear(queues);
  });

  /** What the broker says of what it will not do. */
  const codeOf = (work: (admin: Admin) => Promise<unknown>) =>
    area.as(work).then(
      () => undefined,
      ({ code }: { code?: unknown }) => code,
    );

  const errorOf = (options: Parameters<Scene['transport']>[0], ...names: readonly string[]) =>
    scene
      .transport(options)
      .start({ subscriptions: names.map((name) => specOf(name)) })
      .then(
        () => undefined,
        (error: Error & { code?: string }) => error,
      );

  it('makes a durable topic exchange and a durable quorum queue for each subscription, once', async () => {
    expect(await errorOf({}, 'reader', 'other')).toBeUndefined();
    expect(await errorOf({}, 'reader', 'other')).toBeUndefined();
    await area.as(async (admin) => {
      await admin.assertExchange(scene.exchange, 'topic', { durable: true });
      for (const name of ['reader', 'other'])
        await admin.assertQueue(scene.queueOf(name), { durable: true, arguments: scene.argumentsOf(name) });
    });
  });

  it('is tried again, as the connection is, when the broker does not answer, as long as a start may take', async () => {
    let mutes = 0;
    const stop = subscribe('broker:connected', ({ connection }) => {
      if (connection !== 'consume' || mutes === 2) return;
      mutes += 1;
      scene.way.mute();
    });
    expect(await errorOf({ requestTimeout: '2s', startTimeout: '120s' }, 'reader')).toBeUndefined();
    stop();
    expect(mutes).toBe(2);
    expect(await scene.ready()).toBe(0);
  });

  it('goes on as long as the broker answers, however many bindings a subscription has', async () => {
    const disconnected = scene.hear('broker:disconnected');
    const types = Array.from({ length: 15 }, (_, n) => `scene.of-${n}`);
    scene.way.lag(200);
    const transport = scene.transport({ requestTimeout: '2s', startTimeout: '60s' });
    await transport.start({ subscriptions: [specOf('reader', { types })] });
    await transport.subscribe(specOf('reader', { types }), new Catcher(1));
    expect(disconnected).toEqual([]);
    expect(await transport.publish([envelopeOf('a', { type: 'scene.of-14' })])).toEqual(['confirmed']);
  });

  it('ends with a close while the broker does not answer', async () => {
    const stop = subscribe('broker:connected', () => scene.way.mute());
    const starting = errorOf({ requestTimeout: '500ms', startTimeout: '20s' }, 'reader');
    await quiet(700);
    await Promise.all(scene.transports.map((transport) => transport.close(500)));
    expect(await starting).toMatchObject({ code: 'HF_STOPPING' });
    stop();
  });

  it('makes a queue for the dead letters of each subscription, where the broker puts what it throws away', async () => {
    expect(await errorOf({}, 'reader')).toBeUndefined();
    await area.as(async (admin) => {
      await admin.assertQueue(scene.deadLettersOf(), { durable: true, arguments: scene.quorum });
      admin.publish(scene.exchange, 'scene.happened.none', Buffer.from('old'), { expiration: 1 });
      const moved = await eventually(
        () => admin.get(scene.deadLettersOf(), { noAck: true }),
        (message) => message !== false,
      );
      expect(moved).toMatchObject({
        properties: { headers: { 'x-first-death-reason': 'expired', 'x-first-death-queue': scene.queueOf() } },
      });
    });
  });

  it('is refused when something is there and different, naming all of it with what is there and what has to be', async () => {
    await area.as(async (admin) => {
      await admin.assertExchange(scene.exchange, 'direct', { durable: true });
      await admin.assertQueue(scene.queueOf(), { durable: true });
    });
    const error = await errorOf({}, 'reader', 'other');
    expect(error).toMatchObject({ code: 'HF_BROKER_TOPOLOGY', category: 'configuration' });
    expect(error?.message).toContain(`the exchange ${scene.exchange}: type is 'direct' there, and has to be 'topic'`);
    expect(error?.message).toContain(`the queue ${scene.queueOf()}: x-dead-letter-exchange is none there, and has to be ''`);
  });

  it('is refused when the order of a subscription has changed, and makes nothing, over which those that run would stumble', async () => {
    const consuming = scene.hear('subscription:consuming');
    const { catcher } = await scene.consuming();
    // Of the store only the number of partitions is asked for.
    const store = { leases: { declare: async () => 2 } } as unknown as Store;
    const ordered = scene.transport({}, randomUUID(), store).start({ subscriptions: [specOf('reader', { ordering: 'key' })] });
    await expect(ordered).rejects.toMatchObject({
      code: 'HF_BROKER_TOPOLOGY',
      message: expect.stringContaining(`the queue ${scene.queueOf()}: it is from when the subscription had no ordering: 'key'`),
    });
    const partition = `${scene.exchange}/scene:0/reader`;
    queues.push(partition, `${scene.exchange}/scene:1/reader`);
    expect(await codeOf((admin) => admin.checkQueue(partition))).toBe(404);
    scene.way.cut();
    await eventually(
      () => consuming,
      ({ length }) => length === 2,
    );
    const sender = scene.transport();
    await sender.start({ subscriptions: [] });
    expect(await sender.publish([envelopeOf('a')])).toEqual(['confirmed']);
    await eventually(
      () => catcher.texts,
      (texts) => texts.includes('a'),
    );
  });

  it("with topology 'check' makes nothing, and is refused when something is missing", async () => {
    const error = await errorOf({ topology: 'check' }, 'reader', 'other');
    expect(error?.code).toBe('HF_BROKER_TOPOLOGY');
    for (const text of [`no exchange '${scene.exchange}'`, `no queue '${scene.queueOf()}'`, `no queue '${scene.deadLettersOf('other')}'`])
      expect(error?.message).toContain(text);
    expect(await errorOf({}, 'reader', 'other')).toBeUndefined();
    expect(await errorOf({ topology: 'check' }, 'reader', 'other')).toBeUndefined();
  });

  it.each<[string, { readonly exchange?: string; readonly own?: object; readonly dead?: object }, (of: Scene) => string]>([
    [
      'an exchange of another type',
      { exchange: 'direct' },
      ({ exchange }) => `the exchange ${exchange}: type is 'direct' there, and has to be 'topic'`,
    ],
    [
      'a classic queue',
      { own: { 'x-queue-type': 'classic' } },
      (of) => `the queue ${of.queueOf()}: x-queue-type is 'classic' there, and has to be 'quorum'`,
    ],
    [
      'a queue that puts nothing into its queue for dead letters',
      { own: { 'x-dead-letter-exchange': undefined, 'x-dead-letter-routing-key': undefined } },
      (of) => `the queue ${of.queueOf()}: x-dead-letter-exchange is none there, and has to be ''`,
    ],
    [
      'a queue that puts it somewhere else',
      { own: { 'x-dead-letter-routing-key': 'else' } },
      (of) => `the queue ${of.queueOf()}: x-dead-letter-routing-key is 'else' there, and has to be '${of.deadLettersOf()}'`,
    ],
    [
      'a queue for dead letters that deletes them',
      { dead: { 'x-message-ttl': 1000 } },
      (of) => `the queue ${of.deadLettersOf()}: x-message-ttl is '1000' there, and has to be none`,
    ],
  ])("with topology 'check' is refused by %s, as with 'assert'", async (_, { exchange = 'topic', own, dead }, text) => {
    await area.as(async (admin) => {
      await admin.assertExchange(scene.exchange, exchange, { durable: true });
      await admin.assertQueue(scene.deadLettersOf(), { durable: true, arguments: { ...scene.quorum, ...dead } });
      await admin.assertQueue(scene.queueOf(), { durable: true, arguments: { ...scene.argumentsOf(), ...own } });
    });
    for (const topology of ['check', 'assert'] as const)
      expect(await errorOf({ topology }, 'reader')).toMatchObject({ code: 'HF_BROKER_TOPOLOGY', details: { problems: [text(scene)] } });
  });

  it("with topology 'check' is refused by a partition from which several may take, and starts when only one may", async () => {
    const store = { leases: { declare: async () => 1 } } as unknown as Store;
    const partition = `${scene.exchange}/scene:0/reader`;
    queues.push(partition);
    const start = () =>
      scene.transport({ topology: 'check' }, randomUUID(), store).start({ subscriptions: [specOf('reader', { ordering: 'key' })] });
    const make = (also: object) =>
      area.as(async (admin) => {
        await admin.assertExchange(scene.exchange, 'topic', { durable: true });
        await admin.assertQueue(scene.deadLettersOf(), { durable: true, arguments: scene.quorum });
        await admin.assertQueue(partition, { durable: true, arguments: { ...scene.argumentsOf(), ...also } });
      });
    await make({});
    await expect(start()).rejects.toMatchObject({
      code: 'HF_BROKER_TOPOLOGY',
      message: expect.stringContaining(`the queue ${partition}: x-single-active-consumer is none there, and has to be 'true'`),
    });
    await area.as((admin) => admin.deleteQueue(partition));
    await make({ 'x-single-active-consumer': true });
    await start();
  });

  it("with topology 'check' starts for a user who may not configure, and says once what it could not compare", async () => {
    expect(await errorOf({}, 'reader')).toBeUndefined();
    const url = area.writingTo?.('.*', '^$');
    if (url === undefined) return;
    const transport = scene.transport({ topology: 'check', url });
    await transport.start({ subscriptions: [specOf('reader')] });
    const catcher = new Catcher(1);
    await transport.subscribe(specOf('reader'), catcher);
    expect(await transport.publish([envelopeOf('a')])).toEqual(['confirmed']);
    await eventually(
      () => catcher.texts,
      (texts) => texts.includes('a'),
    );
    const what = [`the exchange ${scene.exchange}`, `the queue ${scene.deadLettersOf()}`, `the queue ${scene.queueOf()}`].join(', ');
    expect(scene.warnings.filter(({ text }) => text.includes('may not declare it'))).toEqual([
      { text: expect.any(String), fields: { what, right: 'configure' } },
    ]);
  });

  it("with topology 'check' comes back to a queue that has changed since the start, and does not make one that was deleted", async () => {
    const queue = scene.queueOf();
    expect(await errorOf({}, 'reader')).toBeUndefined();
    const transport = scene.transport({ topology: 'check' });
    await transport.start({ subscriptions: [specOf('reader')] });
    await area.as(async (admin) => {
      await admin.deleteQueue(queue);
      await admin.assertQueue(queue, { durable: true, arguments: { ...scene.argumentsOf(), 'x-max-length': 1000 } });
    });
    const consuming = scene.hear('subscription:consuming');
    await transport.subscribe(specOf('reader'), new Catcher(1));
    scene.way.cut();
    await eventually(
      () => consuming,
      ({ length }) => length === 2,
    );
    const interrupted = scene.hear('subscription:interrupted');
    await area.as((admin) => admin.deleteQueue(queue));
    await eventually(
      () => interrupted,
      (heard) => heard.some(({ error }) => `${String(error)}`.includes('no queue')),
    );
    expect(await codeOf((admin) => admin.checkQueue(queue))).toBe(404);
  });

  it("with topology 'none' takes for granted that all is there, and a subscription without a queue is refused all the same", async () => {
    const transport = scene.transport({ topology: 'none' });
    await transport.start({ subscriptions: [specOf('reader')] });
    await expect(transport.subscribe(specOf('reader'), new Catcher(1))).rejects.toMatchObject({
      code: 'HF_BROKER_TOPOLOGY',
      message: expect.stringContaining(`no queue '${scene.queueOf()}'`),
    });
  });

  it('is refused when the name of a queue is longer than AMQP takes', async () => {
    expect((await errorOf({}, 'n'.repeat(250)))?.message).toMatch(/its name has \d+ bytes, and RabbitMQ takes 255/);
  });

  it('is refused at once by a wrong password and a missing virtual host, without the password in the text', async () => {
    const wrong = new URL(area.url);
    wrong.password = 'sesame';
    const missing = new URL(area.url);
    missing.pathname = '/nowhere';
    const begin = performance.now();
    const [login, vhost] = [await errorOf({ url: wrong.href }), await errorOf({ url: missing.href })];
    expect(performance.now() - begin).toBeLessThan(20_000);
    expect(login).toMatchObject({ code: 'HF_BROKER_REFUSED', message: expect.stringContaining('Login was refused') });
    expect(vhost).toMatchObject({ code: 'HF_BROKER_REFUSED', message: expect.stringContaining('there is no such virtual host') });
    expect(login?.message).not.toContain('sesame');
  });

  it('tries until its time-out when the broker is away, when it is silent, and when it comes meanwhile', async () => {
    scene.way.refuse(true);
    expect(await errorOf({ startTimeout: 500 })).toMatchObject({ code: 'HF_BROKER_UNREACHABLE', category: 'transient' });
    const starting = errorOf({ startTimeout: 60_000 });
    scene.way.refuse(false);
    expect(await starting).toBeUndefined();
    const mute = new URL(area.url);
    const server = createServer((socket) => socket.on('error', () => undefined).resume()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    mute.port = String((server.address() as { port: number }).port);
    for (const protocol of ['amqp:', 'amqps:']) {
      mute.protocol = protocol;
      const silent = await errorOf({ url: mute.href, requestTimeout: 200, startTimeout: 700 });
      expect(silent).toMatchObject({ code: 'HF_BROKER_UNREACHABLE', message: expect.stringContaining('it does not answer') });
    }
    await Promise.all(scene.transports.map((transport) => transport.close(500)));
    // A connection that was given up leaves no socket behind.
    server.close();
    await once(server, 'close');
  });
});
