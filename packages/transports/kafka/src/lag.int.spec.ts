import { Catcher, describeWithKafka, envelopeOf, eventually, kafkaDriver, specOf } from '@holdfast-internal/test-support';
import { silentLogger, type SubscriptionLag, systemClock, systemRandom, systemScheduler, type Transport } from '@holdfast/core';
import { ConfluentClient } from './confluent-client.js';
import { confluentLibrary } from './confluent-library.js';
import { eachInScene, type Scene } from './kafka-scene.spec.js';
import { KafkajsClient } from './kafkajs-client.js';
import { LagWatch } from './lag-watch.js';
import { Names } from './names.js';
import { settingsFrom } from './settings.js';

/** Counted often, so that a test does not wait. */
const SOON = { lagInterval: '200ms' } as const;

describeWithKafka('the lag of a subscription', () => {
  let scene: Scene;
  eachInScene((opened) => {
    scene = opened;
  });

  const publish = async (transport: Transport, ...texts: readonly string[]) => {
    expect(await transport.publish(texts.map((text) => envelopeOf(text, { key: text })))).toEqual(texts.map(() => 'confirmed'));
  };

  /** What is counted, once so many wait. */
  const lagged = async (transport: Transport, messages: number): Promise<SubscriptionLag | undefined> => {
    const lags = await eventually(
      () => transport.health.lags,
      (found) => found?.[0]?.messages === messages,
    );
    expect(lags).toHaveLength(1);
    return lags?.[0];
  };

  it('is what is not committed yet, over all partitions, and that of the fullest one', async () => {
    const stuck = new Catcher(1);
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    stuck.work = (message) => (Buffer.from(message.body).toString().startsWith('stuck') ? opened : Promise.resolve());
    const heard = scene.hear('subscription:lag');
    const { transport } = await scene.consuming({ ...SOON, partitions: 3 }, specOf('reader', { concurrency: 20 }), stuck);
    await publish(transport, 'a', 'b', 'c', 'd', 'e');
    await eventually(
      () => scene.committed(),
      (offset) => offset === 5,
    );
    const idle = await lagged(transport, 0);
    expect(idle).toEqual({ subscription: 'reader', messages: 0, most: undefined, unknown: 0, at: expect.any(Date) });
    await transport.publish(['1', '2', '3', '4'].map((text) => envelopeOf(`stuck ${text}`, { key: 'one' })));
    const busy = await lagged(transport, 4);
    expect(busy?.most).toEqual({ place: expect.stringMatching(new RegExp(`^${scene.topicOf()}/[0-2]$`)), messages: 4 });
    expect(heard.some(({ subscription, messages }) => subscription === 'reader' && messages === 4)).toBe(true);
    open();
    await lagged(transport, 0);
    expect(transport.health.status).toBe('up');
  });

  it('grows while the subscription is paused', async () => {
    const catcher = new Catcher(1);
    const { transport } = await scene.consuming(SOON, specOf('reader'), catcher);
    await publish(transport, 'a');
    await lagged(transport, 0);
    catcher.pause(true);
    await publish(transport, 'b', 'c');
    expect((await lagged(transport, 2))?.most).toBeDefined();
    catcher.pause(false);
    await lagged(transport, 0);
  });

  it('is all that is there for a group that has committed nothing', async () => {
    const { transport } = await scene.consuming();
    await publish(transport, 'a', 'b', 'c');
    const { area, prefix } = scene;
    const settings = settingsFrom({ brokers: [area.address], driver: kafkaDriver(), prefix, ...SOON });
    const context = { clock: systemClock, random: systemRandom, scheduler: systemScheduler, logger: silentLogger };
    const parts = { ...context, settings, clientId: 'a watch' };
    const client =
      settings.driver === 'confluent' ? new ConfluentClient({ ...parts, library: confluentLibrary() }) : new KafkajsClient(parts);
    const watch = new LagWatch({ context, settings, intervalMs: 200, client, names: new Names(settings, 'scene') });
    watch.add(specOf('nobody'));
    const lags = await eventually(
      () => watch.lags,
      (found) => found !== undefined,
    );
    expect(lags).toMatchObject([{ subscription: 'nobody', messages: 3, unknown: 0 }]);
    await watch.stop();
    client.drop();
  });
});
