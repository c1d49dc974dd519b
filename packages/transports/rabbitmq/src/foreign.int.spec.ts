import { describeWithRabbit, openRabbit, quiet, type RabbitArea, specOf, textOf, eventually } from '@holdfast-internal/test-support';
import type { ForeignSource } from './index.js';
import { Scene } from './rabbit-scene.spec.js';

describeWithRabbit('messages of other producers', () => {
  let area: RabbitArea;
  let scene: Scene;
  let theirs: string;
  const queues: string[] = [];
  beforeAll(async () => {
    area = await openRabbit();
  });
  afterAll(() => area.drop(queues));
  beforeEach(async () => {
    scene = await Scene.open(area);
    theirs = area.name();
    queues.push(scene.queueOf(), theirs);
  });
  afterEach(async () => {
    await scene.close();
    await area.clear(queues);
  });

  const send = (exchange: string, routingKey: string, text: string) =>
    area.as(async (admin) => {
      admin.publish(exchange, routingKey, Buffer.from(text));
      await admin.assertExchange(scene.exchange, 'topic', { durable: true });
    });
  const refusal = (topology: 'assert' | 'check', ...foreign: readonly ForeignSource[]) =>
    scene
      .transport({ topology, foreign })
      .start({ subscriptions: [specOf('reader')] })
      .then(
        () => undefined,
        (error: Error & { code?: string }) => error,
      );

  it('come from an exchange of theirs, those that the routing key picks', async () => {
    await area.as((admin) => admin.assertExchange(theirs, 'topic', { durable: true }));
    const { catcher } = await scene.consuming({ foreign: [{ subscription: 'reader', exchange: theirs, routingKey: 'orders.*' }] });
    await send(theirs, 'users.gone', 'no');
    await send(theirs, 'orders.placed', 'yes');
    await eventually(
      () => catcher.texts,
      ({ length }) => length > 0,
    );
    await quiet();
    expect(catcher.caught.map(({ attributes, body }) => [JSON.parse(attributes).address, Buffer.from(body).toString()])).toEqual([
      [`${theirs}/orders.placed`, 'yes'],
    ]);
  });

  it('come from an exchange of theirs all when there is no routing key', async () => {
    await area.as((admin) => admin.assertExchange(theirs, 'fanout', { durable: true }));
    const { catcher } = await scene.consuming({ foreign: [{ subscription: 'reader', exchange: theirs }] });
    await send(theirs, '', 'yes');
    await eventually(
      () => catcher.texts,
      (texts) => texts.includes('yes'),
    );
  });

  it('come from a queue of theirs, beside those of the subscription, also after the connection was lost', async () => {
    await area.as((admin) => admin.assertQueue(theirs, { durable: true }));
    const { catcher } = await scene.consuming({ foreign: [{ subscription: 'reader', queue: theirs }] });
    await send('', theirs, '1');
    await send(scene.exchange, 'scene.happened.none', '2');
    const heard = scene.hear('subscription:consuming');
    scene.way.cut();
    await eventually(
      () => heard.map(({ queue }) => queue).sort(),
      (names) => names.join() === [scene.queueOf(), theirs].sort().join(),
    );
    await send('', theirs, '3');
    await eventually(
      () => [...new Set(catcher.texts)].sort().join(),
      (texts) => texts === '1,2,3',
    );
    const first = catcher.caught.find((message) => textOf(message) === '1');
    expect(JSON.parse(first?.attributes ?? '').address).toBe(theirs);
  });

  it.each(['assert', 'check'] as const)("have to be there with topology '%s': what belongs to others is not made", async (topology) => {
    expect(await refusal('assert')).toBeUndefined();
    const error = await refusal(topology, { subscription: 'reader', exchange: theirs }, { subscription: 'reader', queue: theirs });
    expect(error?.code).toBe('HF_BROKER_TOPOLOGY');
    expect(error?.message).toContain(`the exchange ${theirs}: NOT_FOUND`);
    expect(error?.message).toContain(`the queue ${theirs}: NOT_FOUND`);
  });

  it('are refused for a subscription that this service does not have, before the broker is asked', async () => {
    scene.way.refuse(true);
    const error = await refusal('assert', { subscription: 'raeder', queue: theirs });
    expect(error?.message).toContain('rabbitmq({ foreign }) names the subscription raeder, and this service has reader');
  });
});
