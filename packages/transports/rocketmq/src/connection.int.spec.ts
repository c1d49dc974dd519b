import net from 'node:net';
import { type BlackHole, describeWithRocketmq, envelopeOf, openBlackHole } from '@holdfast-internal/test-support';
import { eachInScene, eventually, type Scene } from './rocketmq-scene.spec.js';

/** A heartbeat that is not answered ends a connection after ten seconds: what is there again before was replaced for another reason. */
const BEFORE_A_HEARTBEAT_MS = 8000;
const SHORT = { requestTimeout: '1s', confirmTimeout: '2s' } as const;

describeWithRocketmq('a connection to RocketMQ that vanishes without a word', () => {
  jest.setTimeout(90_000);
  let scene: Scene;
  let hole: BlackHole;
  eachInScene((opened) => {
    scene = opened;
  });
  beforeEach(async () => {
    const { endpoint } = scene.area;
    hole = await openBlackHole(`http://${endpoint}`);
    const way = { host: '127.0.0.1', port: Number(new URL(hole.url).port) };
    // Where a message goes is told by the proxy, and it tells its own address: so the way there is changed, not the address.
    const connect = net.connect as (...args: readonly unknown[]) => net.Socket;
    const byTheHole = (target: unknown, ...rest: readonly unknown[]) => {
      const { host, port } = target as { readonly host?: string; readonly port?: number };
      return connect(`${host}:${port}` === endpoint ? way : target, ...rest);
    };
    jest.spyOn(net, 'connect').mockImplementation(byTheHole as typeof net.connect);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await hole.close();
  });

  it('is replaced by another one when an answer does not come, to send and to receive', async () => {
    const { transport, catcher } = await scene.consuming(SHORT);
    // One that sends nothing meanwhile does not notice, and holds on to what it has.
    const idle = scene.transport(SHORT);
    await idle.start({ subscriptions: [] });
    for (const each of [idle, transport]) expect(await each.publish([envelopeOf('before')])).toEqual(['confirmed']);
    hole.swallow();
    expect(await transport.publish([envelopeOf('lost')])).toEqual(['unknown']);
    await eventually(
      () => transport.publish([envelopeOf('after')]),
      ([outcome]) => outcome === 'confirmed',
      BEFORE_A_HEARTBEAT_MS,
    );
    await eventually(
      () => catcher.texts,
      (texts) => texts.includes('after'),
      BEFORE_A_HEARTBEAT_MS,
    );
  });

  it('is noticed also while nothing is sent', async () => {
    const transport = scene.transport(SHORT);
    await transport.start({ subscriptions: [] });
    // The connection of which the proxy was asked, and that on which it is heard of, once there is a topic.
    expect(await transport.publish([envelopeOf('before')])).toEqual(['confirmed']);
    const heard = scene.hear('broker:disconnected');
    hole.swallow();
    await eventually(
      () => heard,
      ({ length }) => length > 0,
    );
    await eventually(
      () => transport.health.status,
      (status) => status === 'up',
    );
    expect(await transport.publish([envelopeOf('after')])).toEqual(['confirmed']);
  });
});
