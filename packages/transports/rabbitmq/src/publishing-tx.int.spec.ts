import { describeWithRabbit, envelopeOf, quiet, type RabbitArea, specOf, eventually } from '@holdfast-internal/test-support';
import type { Transport } from '@holdfast/core';
import { eachInScene, LETS_GO_SOON, Scene } from './rabbit-scene.spec.js';

describeWithRabbit('publishing in transactions', () => {
  let area: RabbitArea;
  let scene: Scene;
  const queues: string[] = [];
  eachInScene(queues, (opened) => {
    ({ area, scene } = opened);
  });

  /** A transport that publishes to one queue that nobody reads. */
  const publisher = async (options: Parameters<Scene['transport']>[0] = {}): Promise<Transport> => {
    const transport = scene.transport({ publishMode: 'tx', ...options });
    await transport.start({ subscriptions: [specOf('reader')] });
    return transport;
  };

  const batchOf = (count: number, name = '') => Array.from({ length: count }, (_, i) => envelopeOf(`${name}${i}`));

  const reaches = (count: number) =>
    eventually(
      () => scene.ready(),
      (ready) => ready >= count,
    );

  /** So many are there, and after a while still no more. */
  const staysAt = async (count: number): Promise<void> => {
    await reaches(count);
    await quiet();
    expect(await scene.ready()).toBe(count);
  };

  it('brings a batch to the broker as a whole or not at all, wherever the connection is lost', async () => {
    const transport = await publisher();
    const size = 300;
    let isSeenCut = false;
    const cuts = Array.from({ length: 12 }, (_, i) => [() => scene.way.cutAfter(i * 8_000 + 1), () => quiet(i)]).flat();
    for (const cutAt of cuts) {
      const cut = cutAt();
      const outcomes = transport.publish(batchOf(size));
      await cut;
      scene.way.cut();
      isSeenCut ||= new Set(await outcomes).has('unknown');
      // A queue shows what it gets one by one.
      await eventually(
        () => scene.ready(),
        (count) => count % size === 0,
      );
    }
    expect(isSeenCut).toBe(true);
  });

  it('has one transaction at a time, and those that wait share the next one as far as the window goes', async () => {
    const transport = await publisher({ ...LETS_GO_SOON, window: 3, confirmTimeout: '3s' });
    scene.way.mute();
    const calls = Promise.all([2, 1, 2, 1].map((count, at) => transport.publish(batchOf(count, `${at}-`))));
    await reaches(3);
    expect(transport.isBusy).toBe(true);
    await staysAt(3);
    expect(new Set((await calls).flat())).toEqual(new Set(['unknown']));
    expect(transport.isBusy).toBe(false);
  });

  it('does not cut a batch that is larger than the window', async () => {
    const transport = await publisher({ ...LETS_GO_SOON, window: 3, confirmTimeout: 800 });
    scene.way.mute();
    const outcomes = transport.publish(batchOf(10));
    await staysAt(10);
    expect(new Set(await outcomes)).toEqual(new Set(['unknown']));
  });

  it('says of a message that is alone in its transaction that a queue refused it, and knows nothing of several', async () => {
    const transport = await publisher();
    queues.push(scene.queueOf('full'), scene.deadLettersOf('full'));
    await area.as(async (admin) => {
      await admin.assertQueue(scene.queueOf('full'), { durable: true, maxLength: 1, overflow: 'reject-publish' });
      await admin.bindQueue(scene.queueOf('full'), scene.exchange, 'scene.full.*');
    });
    const full = { type: 'scene.full' };
    expect(await transport.publish([envelopeOf('1', full)])).toEqual(['confirmed']);
    expect(await transport.publish([envelopeOf('2', full), envelopeOf('a')])).toEqual(['unknown', 'unknown']);
    expect(await transport.publish([envelopeOf('2', full)])).toEqual(['rejected']);
    expect(await transport.publish([envelopeOf('a')])).toEqual(['confirmed']);
  });

  it('gives up a channel whose commit is not answered, also when that began while the broker took nothing', async () => {
    const transport = await publisher({ ...LETS_GO_SOON, confirmTimeout: 400 });
    const [blocked, unblocked] = [scene.hear('broker:blocked'), scene.hear('broker:unblocked')];
    const publishing = ({ connection }: { connection: string }) => connection === 'publish';
    // The commit is written, its answer is lost, and then the alarm comes.
    const first = transport.publish([envelopeOf('a')]);
    scene.way.mute();
    scene.block('low memory');
    await eventually(
      () => blocked.filter(publishing).length,
      (length) => length === 1,
    );
    expect(await first).toEqual(['unknown']);
    scene.unblock();
    await eventually(
      () => unblocked.filter(publishing).length,
      (length) => length === 1,
    );
    expect(
      await eventually(
        () => transport.publish([envelopeOf('b')]),
        ([outcome]) => outcome === 'confirmed',
      ),
    ).toEqual(['confirmed']);
  });

  it('waits for its commit when it is closed, and answers unknown at once for what has not been sent', async () => {
    const transport = await publisher({ window: 50 });
    const [first, second] = [transport.publish(batchOf(50)), transport.publish(batchOf(50))];
    await Promise.resolve();
    await transport.close(3000);
    expect(new Set(await first)).toEqual(new Set(['confirmed']));
    expect(new Set(await second)).toEqual(new Set(['unknown']));
    await staysAt(50);
    expect(await transport.publish([envelopeOf('late')])).toEqual(['unknown']);
  });
});
