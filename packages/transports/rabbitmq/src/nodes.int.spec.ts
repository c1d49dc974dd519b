import {
  type BlackHole,
  describeWithRabbit,
  envelopeOf,
  openBlackHole,
  openRabbit,
  quiet,
  type RabbitArea,
  specOf,
  eventually,
} from '@holdfast-internal/test-support';
import { Scene } from './rabbit-scene.spec.js';

describeWithRabbit('several addresses of a broker, and what is fetched ahead', () => {
  let area: RabbitArea;
  let scene: Scene;
  let other: BlackHole;
  const queues: string[] = [];
  beforeAll(async () => {
    area = await openRabbit();
  });
  afterAll(() => area.drop(queues));
  beforeEach(async () => {
    scene = await Scene.open(area);
    other = await openBlackHole(area.url);
    queues.push(scene.queueOf());
  });
  afterEach(async () => {
    await scene.close();
    await other.close();
  });

  const hostOf = (url: string) => new URL(url).host;

  it('goes to the next address when one is away at the start, and when the one in use is lost', async () => {
    scene.way.refuse(true);
    const connected = scene.hear('broker:connected');
    const disconnected = scene.hear('broker:disconnected');
    const { transport, catcher } = await scene.consuming({ url: [scene.way.url, other.url] });
    expect(new Set(connected.map(({ address }) => hostOf(address)))).toEqual(new Set([hostOf(other.url)]));
    expect(new Set(disconnected.map(({ address }) => hostOf(address)))).toEqual(new Set([hostOf(scene.way.url)]));
    expect(await transport.publish([envelopeOf('1')])).toEqual(['confirmed']);
    scene.way.refuse(false);
    other.refuse(true);
    // What was under way when it was lost has an unknown end.
    await eventually(
      () => transport.publish([envelopeOf('2')]),
      ([outcome]) => outcome === 'confirmed',
    );
    await eventually(
      () => [...new Set(catcher.texts)].sort(),
      (texts) => texts.join() === '1,2',
    );
    expect(new Set(connected.slice(2).map(({ address }) => hostOf(address)))).toEqual(new Set([hostOf(scene.way.url)]));
  });

  it('has no more of a subscription in hand than its prefetch, and the rest stays for others', async () => {
    const { transport, catcher } = await scene.consuming({ prefetch: 3 }, specOf('reader', { concurrency: 10 }));
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    catcher.work = () => held;
    await transport.publish(Array.from({ length: 8 }, (_, n) => envelopeOf(String(n))));
    await eventually(
      () => catcher.inWork,
      (count) => count === 3,
    );
    await quiet();
    expect(catcher.inWork).toBe(3);
    expect(await scene.ready()).toBe(5);
    release();
    await eventually(
      () => catcher.texts.length,
      (count) => count === 8,
    );
    expect(catcher.mostInWork).toBe(3);
  });
});
