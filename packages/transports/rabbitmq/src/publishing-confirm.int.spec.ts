import { describeWithRabbit, envelopeOf, quiet, type RabbitArea, specOf, eventually } from '@holdfast-internal/test-support';
import type { Transport } from '@holdfast/core';
import { eachInScene, LETS_GO_SOON, Scene } from './rabbit-scene.spec.js';

/** Class and method. */
const CONFIRM_SELECT_OK = [85, 11] as const;

describeWithRabbit('publishing with confirms', () => {
  let area: RabbitArea;
  let scene: Scene;
  const queues: string[] = [];
  eachInScene(queues, (opened) => {
    ({ area, scene } = opened);
  });

  /** A transport that publishes to one queue that nobody reads. */
  const publisher = async (options: Parameters<Scene['transport']>[0] = {}): Promise<Transport> => {
    const transport = scene.transport(options);
    await transport.start({ subscriptions: [specOf('reader')] });
    return transport;
  };

  it('has at most one unconfirmed message of a key, also over two calls, and keyless ones without bound', async () => {
    const transport = await publisher({ ...LETS_GO_SOON, confirmTimeout: 800 });
    scene.way.mute();
    const batch = [envelopeOf('k1', { key: 'k' }), envelopeOf('k2', { key: 'k' }), envelopeOf('x'), envelopeOf('y')];
    const calls = Promise.all([transport.publish(batch), transport.publish([envelopeOf('k3', { key: 'k' })])]);
    await eventually(
      () => scene.ready(),
      (count) => count === 3,
    );
    await quiet();
    expect(await scene.ready()).toBe(3);
    expect(await calls).toEqual([['unknown', 'unknown', 'unknown', 'unknown'], ['unknown']]);
  });

  it('publishes again when a connection ends in the same breath in which its channel was opened', async () => {
    const transport = await publisher();
    scene.endBehind(CONFIRM_SELECT_OK);
    scene.way.cut();
    await eventually(
      () => transport.publish([envelopeOf('x')]),
      ([outcome]) => outcome === 'confirmed',
    );
  });

  it('has at most a window of unconfirmed messages', async () => {
    const transport = await publisher({ ...LETS_GO_SOON, window: 3, confirmTimeout: '3s' });
    scene.way.mute();
    const outcomes = transport.publish(Array.from({ length: 10 }, (_, i) => envelopeOf(`${i}`)));
    await eventually(
      () => scene.ready(),
      (count) => count === 3,
    );
    expect(transport.isBusy).toBe(true);
    await quiet();
    expect(await scene.ready()).toBe(3);
    expect(new Set(await outcomes)).toEqual(new Set(['unknown']));
    expect(transport.isBusy).toBe(false);
  });

  it('says rejected when a queue refuses, does not send what is behind it in its key, and sends what is beside it', async () => {
    const transport = await publisher();
    queues.push(scene.queueOf('full'), scene.deadLettersOf('full'));
    await area.as(async (admin) => {
      await admin.assertQueue(scene.queueOf('full'), { durable: true, maxLength: 1, overflow: 'reject-publish' });
      await admin.bindQueue(scene.queueOf('full'), scene.exchange, 'scene.full.*');
    });
    const full = { type: 'scene.full', key: 'k' };
    await transport.publish([envelopeOf('1', full), envelopeOf('2', full)]);
    const outcomes = await transport.publish([envelopeOf('3', full), envelopeOf('4', full), envelopeOf('5', { key: 'other' })]);
    expect(outcomes).toEqual(['rejected', 'unknown', 'confirmed']);
  });

  it('answers unknown at once when it is closed, after what was sent is confirmed', async () => {
    const transport = await publisher({ window: 5 });
    const outcomes = transport.publish(Array.from({ length: 50 }, (_, i) => envelopeOf(`${i}`)));
    await transport.close(3000);
    const confirmed = (await outcomes).filter((outcome) => outcome === 'confirmed').length;
    expect(
      await eventually(
        () => scene.ready(),
        (count) => count === confirmed,
      ),
    ).toBe(confirmed);
    expect(confirmed).toBeGreaterThanOrEqual(5);
    expect(await transport.publish([envelopeOf('late')])).toEqual(['unknown']);
  });
});
