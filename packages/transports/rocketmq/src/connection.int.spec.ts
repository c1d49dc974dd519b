import { type BlackHole, describeWithRocketmq, envelopeOf, eventually, holeBeforeRocketmq } from '@holdfast-internal/test-support';
import type { Transport } from '@holdfast/core';
import { Fence } from './fence.js';
import { eachInScene, type Scene } from './rocketmq-scene.spec.js';

const SHORT = { requestTimeout: '1s', confirmTimeout: '2s' } as const;

describeWithRocketmq('a connection to RocketMQ that vanishes without a word', () => {
  let scene: Scene;
  let hole: BlackHole;
  eachInScene((opened) => {
    scene = opened;
  });
  beforeEach(async () => {
    hole = await holeBeforeRocketmq(scene.area.endpoint);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await hole.close();
  });

  const confirmed = (transport: Transport, text: string) =>
    eventually(
      () => transport.publish([envelopeOf(text)]),
      ([outcome]) => outcome === 'confirmed',
    );

  it('is replaced by another one when an answer does not come, to send and to receive', async () => {
    const { transport, catcher } = await scene.consuming(SHORT);
    // One that sends nothing meanwhile does not notice, and holds on to what it has.
    const idle = scene.transport(SHORT);
    await idle.start({ subscriptions: [] });
    for (const each of [idle, transport]) await confirmed(each, 'before');
    // A heartbeat without an answer replaces a connection too; here it tells nobody.
    jest.spyOn(Fence.prototype, 'report').mockImplementation(() => undefined);
    hole.swallow();
    expect(await transport.publish([envelopeOf('lost')])).toEqual(['unknown']);
    await confirmed(transport, 'after');
    await eventually(
      () => catcher.texts,
      (texts) => texts.includes('after'),
    );
  });

  it('is noticed also while nothing is sent', async () => {
    const transport = scene.transport(SHORT);
    await transport.start({ subscriptions: [] });
    // The connection of which the proxy was asked, and that on which it is heard of, once there is a topic.
    await confirmed(transport, 'before');
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
    await confirmed(transport, 'after');
  });
});
