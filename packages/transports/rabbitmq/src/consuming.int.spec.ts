import {
  Catcher,
  describeWithRabbit,
  envelopeOf,
  quiet,
  type RabbitArea,
  readBack,
  specOf,
  eventually,
} from '@holdfast-internal/test-support';
import type { Intake } from '@holdfast/core';
import { eachInScene, Scene } from './rabbit-scene.spec.js';

describeWithRabbit('consuming', () => {
  let area: RabbitArea;
  let scene: Scene;
  const queues: string[] = [];
  eachInScene(queues, (opened) => {
    ({ area, scene } = opened);
  });

  const gate = () => {
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    return { opened, open: () => open() };
  };

  it('hands a message over as it was published', async () => {
    const { transport, catcher } = await scene.consuming();
    const envelope = envelopeOf('{"a":"ü🔑"}', {
      id: 'order/1',
      key: 'ключ "1"\n🔑',
      headers: { 'x-note': 'grüße', empty: '', CC: 'copy', 'cloudEvents:id': 'fake', 'x-death': 'mine', 'holdfast:x': 'y' },
      causationId: 'before',
      sagaId: 'saga "1"',
      replyTo: 'there',
      compensates: 'before/ü',
      compensatesType: 'scene.before',
      compensatesTime: new Date(),
      hasRun: true,
      kind: 'command',
      version: 3,
    });
    await transport.publish([envelope]);
    const [message] = await eventually(
      () => catcher.caught,
      ({ length }) => length === 1,
    );
    const back = readBack(message!);
    expect({ ...back, headers: { ...back.headers }, body: Buffer.from(back.body).toString() }).toEqual({
      ...envelope,
      body: '{"a":"ü🔑"}',
      destination: undefined,
      traceparent: undefined,
    });
    expect(message).toMatchObject({ type: 'scene.happened', isRedelivery: false, attempts: 0, deliveryId: undefined });
  });

  it('delivers again what was in hand when the connection was lost, as a repeat, and settles only what is its own', async () => {
    const { transport, catcher } = await scene.consuming();
    const interrupted = scene.hear('subscription:interrupted');
    const entered = gate();
    const leave = gate();
    catcher.work = async () => {
      entered.open();
      if (catcher.caught.length === 1) await leave.opened;
    };
    await transport.publish([envelopeOf('a')]);
    await entered.opened;
    scene.way.cut();
    await eventually(
      () => catcher.caught,
      ({ length }) => length === 2,
    );
    leave.open();
    expect(catcher.caught.map(({ isRedelivery }) => isRedelivery)).toEqual([false, true]);
    expect(interrupted[0]).toMatchObject({ subscription: 'reader', queue: scene.queueOf() });
    await eventually(
      () => transport.isBusy,
      (isBusy) => !isBusy,
    );
    await scene.leave(transport);
    expect(await scene.ready()).toBe(0);
  });

  it('says of a message how often the broker got it back', async () => {
    const { transport, catcher } = await scene.consuming();
    catcher.work = async () => {
      if (catcher.caught.length > 3) return;
      scene.way.cut();
      await quiet(100);
    };
    await transport.publish([envelopeOf('a')]);
    await eventually(
      () => catcher.caught,
      ({ length }) => length === 4,
    );
    expect(catcher.caught.map(({ timesReturned }) => timesReturned)).toEqual([undefined, 1, 2, 3]);
  });

  it('does not say of a message that it is ours once its channel is gone', async () => {
    const { transport, catcher } = await scene.consuming();
    const answers: unknown[] = [];
    const handle = catcher.handle.bind(catcher);
    catcher.handle = async (intake: Intake) => {
      if (answers.length > 0) return handle(intake);
      const { messages } = await intake.take(undefined as never, 1);
      const lease = await intake.lease(1, 1000);
      answers.push(await intake.retake(undefined as never, messages[0]!));
      scene.way.cut();
      await eventually(
        () => intake.retake(undefined as never, messages[0]!),
        (isOurs) => !isOurs,
      );
      answers.push((await intake.take(undefined as never, 1)).messages.length, await intake.lease(1, 1000));
      answers.push(await lease!.finish(undefined).catch((error: { code?: string }) => error.code));
      await intake.settle(messages, 'ack');
      return 'idle';
    };
    await transport.publish([envelopeOf('a')]);
    await eventually(
      () => catcher.texts,
      ({ length }) => length === 1,
    );
    expect(answers).toEqual([true, 0, undefined, 'HF_LEASE_LOST']);
  });

  it('makes a deleted queue again, tells of it, and goes on', async () => {
    const { transport, catcher } = await scene.consuming();
    const [interrupted, consuming] = [scene.hear('subscription:interrupted'), scene.hear('subscription:consuming')];
    await area.as((admin) => admin.deleteQueue(scene.queueOf()));
    await eventually(
      () => consuming.length,
      (length) => length > 0,
    );
    expect(interrupted[0]).toMatchObject({ error: { code: 'HF_BROKER_CONSUMER_CANCELLED' } });
    await eventually(
      () => transport.publish([envelopeOf('a')]),
      ([outcome]) => outcome === 'confirmed',
    );
    await eventually(
      () => catcher.texts,
      ({ length }) => length > 0,
    );
  });

  it('leaves a deleted exchange to the next start: until then nothing is published into it that others would not get', async () => {
    const { transport, catcher } = await scene.consuming({ confirmTimeout: '1s' });
    const interrupted = scene.hear('subscription:interrupted');
    await area.as(async (admin) => {
      await admin.deleteExchange(scene.exchange);
      await admin.deleteQueue(scene.queueOf());
    });
    await eventually(
      () => interrupted.map(({ error }) => String((error as Error).message)),
      (texts) => texts.some((text) => text.includes(`no exchange '${scene.exchange}'`)),
    );
    await expect(area.as((admin) => admin.checkExchange(scene.exchange))).rejects.toMatchObject({ code: 404 });
    for (const text of ['a', 'b']) expect(await transport.publish([envelopeOf(text)])).toEqual(['unknown']);
    await scene.transport().start({ subscriptions: [] });
    await eventually(
      () => transport.publish([envelopeOf('c')]),
      ([outcome]) => outcome === 'confirmed',
    );
    await eventually(
      () => catcher.texts,
      (texts) => texts.includes('c'),
    );
  });

  it("does not make a deleted queue with topology 'check': it says what is missing, and goes on when it is there", async () => {
    await scene.transport().start({ subscriptions: [specOf('reader')] });
    const { transport, catcher } = await scene.consuming({ topology: 'check' });
    const interrupted = scene.hear('subscription:interrupted');
    await area.as((admin) => admin.deleteQueue(scene.queueOf()));
    await eventually(
      () => interrupted.map(({ error }) => String((error as Error).message)),
      (texts) => texts.some((text) => text.includes(`no queue '${scene.queueOf()}'`)),
    );
    expect(await transport.publish([envelopeOf('lost')])).toEqual(['unroutable']);
    await area.as(async (admin) => {
      await admin.assertQueue(scene.queueOf(), { durable: true, arguments: scene.argumentsOf() });
      await admin.bindQueue(scene.queueOf(), scene.exchange, 'scene.happened.*');
    });
    await eventually(
      () => transport.publish([envelopeOf('a')]),
      ([outcome]) => outcome === 'confirmed',
    );
    await eventually(
      () => catcher.texts,
      (texts) => texts.includes('a'),
    );
  });

  it('goes on after the server has closed its connections', async () => {
    const { transport, catcher } = await scene.consuming();
    if (area.closeConnections === undefined) return;
    const connected = scene.hear('broker:connected');
    area.closeConnections();
    await eventually(
      () => connected.length,
      (length) => length === 2,
    );
    expect(await transport.publish([envelopeOf('a')])).toEqual(['confirmed']);
    await eventually(
      () => catcher.texts,
      ({ length }) => length === 1,
    );
  });

  it('gives up a connection on which nothing is heard any more', async () => {
    const { transport, catcher } = await scene.consuming({ heartbeat: '1s' });
    const lost = scene.hear('broker:disconnected');
    scene.way.swallow();
    await eventually(
      () => lost.length,
      (length) => length === 2,
    );
    expect(await transport.publish([envelopeOf('a')])).toEqual(['confirmed']);
    await eventually(
      () => catcher.texts,
      ({ length }) => length === 1,
    );
  });

  it('has at most its concurrency in work, and does not mix repeats with what is new', async () => {
    const spec = specOf('reader', { concurrency: 2, batchSize: 5 });
    const { transport, catcher } = await scene.consuming({}, spec);
    catcher.work = () => quiet(5);
    await transport.publish(Array.from({ length: 60 }, (_, i) => envelopeOf(`${i}`)));
    await eventually(
      () => catcher.caught.length,
      (length) => length > 20,
    );
    scene.way.cut();
    await eventually(
      () => new Set(catcher.texts).size,
      (size) => size === 60,
    );
    expect(catcher.mostInWork).toBe(2);
    expect(catcher.caught.filter(({ isRedelivery }) => isRedelivery).length).toBeGreaterThan(0);
  });

  it('holds nothing while it is paused: what was not in work goes back, and comes when it is resumed', async () => {
    const { transport, catcher } = await scene.consuming({}, specOf('reader', { concurrency: 2 }));
    const entered = gate();
    const leave = gate();
    catcher.work = async () => {
      if (catcher.caught.length === 2) entered.open();
      await leave.opened;
    };
    await transport.publish(Array.from({ length: 10 }, (_, i) => envelopeOf(`${i}`)));
    await entered.opened;
    catcher.pause(true);
    const ready = (wanted: number) =>
      eventually(
        () => scene.ready(),
        (count) => count === wanted,
      );
    await ready(8);
    leave.open();
    // What was in work is acknowledged, and nothing else is taken.
    await quiet();
    await ready(8);
    expect(catcher.caught).toHaveLength(2);
    // Another process may take them.
    const other = await scene.consuming({}, specOf('reader', { concurrency: 1 }));
    await eventually(
      () => other.catcher.caught,
      ({ length }) => length === 8,
    );
    await transport.publish([envelopeOf('late')]);
    await scene.leave(other.transport);
    catcher.pause(false);
    await transport.publish([envelopeOf('after')]);
    await eventually(
      () => catcher.texts,
      (texts) => texts.includes('after'),
    );
  });

  it('takes nothing when it was paused before it began, and still nothing after its connection was lost', async () => {
    const paused = new Catcher(1);
    paused.pause(true);
    const consuming = scene.hear('subscription:consuming');
    const { transport } = await scene.consuming({}, specOf('reader'), paused);
    await transport.publish([envelopeOf('a')]);
    const connected = scene.hear('broker:connected');
    scene.way.cut();
    await eventually(
      () => connected,
      ({ length }) => length === 2,
    );
    await quiet();
    expect([paused.caught.length, await scene.ready(), consuming.length]).toEqual([0, 1, 0]);
    paused.pause(false);
    await eventually(
      () => paused.texts,
      (texts) => texts.includes('a'),
    );
    expect(consuming).toHaveLength(1);
  });

  it('may be paused and resumed as fast as can be, and nothing is lost', async () => {
    const { transport, catcher } = await scene.consuming({}, specOf('reader', { concurrency: 3, id: undefined }));
    catcher.work = () => quiet(1);
    const publishing = transport.publish(Array.from({ length: 200 }, (_, i) => envelopeOf(`${i}`)));
    for (let i = 0; i < 60; i += 1) {
      catcher.pause(i % 2 === 0);
      await quiet(i % 7);
    }
    expect(await publishing).toHaveLength(200);
    await eventually(
      () => new Set(catcher.texts).size,
      (size) => size === 200,
    );
    await eventually(
      () => transport.isBusy,
      (isBusy) => !isBusy,
    );
    expect(await scene.ready()).toBe(0);
  });

  it('stops at once, finishes what is in hand, and leaves the rest to others', async () => {
    const { transport, catcher } = await scene.consuming({}, specOf('reader', { concurrency: 2 }));
    const entered = gate();
    const leave = gate();
    catcher.work = async () => {
      if (catcher.caught.length === 2) entered.open();
      await leave.opened;
    };
    await transport.publish(Array.from({ length: 10 }, (_, i) => envelopeOf(`${i}`)));
    await entered.opened;
    const closing = scene.leave(transport, 5000);
    // What had not begun is there for others while two are still in work.
    expect(
      await eventually(
        () => scene.ready(),
        (count) => count === 8,
      ),
    ).toBe(8);
    leave.open();
    await closing;
    expect(catcher.caught).toHaveLength(2);
    const other = await scene.consuming();
    await eventually(
      () => other.catcher.caught,
      ({ length }) => length === 8,
    );
    await quiet();
    expect([...catcher.texts, ...other.catcher.texts].map(Number).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('takes nothing more while it stops, also when its connection is lost then', async () => {
    if (area.closeConnections === undefined) return;
    const { transport, catcher } = await scene.consuming();
    const leave = gate();
    catcher.work = () => leave.opened;
    await transport.publish([envelopeOf('0')]);
    await eventually(
      () => catcher.caught,
      ({ length }) => length === 1,
    );
    const connected = scene.hear('broker:connected');
    const consuming = scene.hear('subscription:consuming');
    const draining = transport.drain(20_000);
    area.closeConnections();
    await eventually(
      () => connected.length,
      (length) => length === 2,
    );
    await quiet();
    expect(consuming).toEqual([]);
    leave.open();
    await draining;
  });

  it('stops at its deadline when a hand-over does not end or the broker is silent, and what was in hand comes again', async () => {
    const { transport, catcher } = await scene.consuming({ heartbeat: '1s' });
    catcher.work = () => new Promise(() => undefined);
    await transport.publish([envelopeOf('a')]);
    await eventually(
      () => catcher.caught,
      ({ length }) => length === 1,
    );
    scene.way.swallow();
    const begin = performance.now();
    await scene.leave(transport, 1000);
    expect(performance.now() - begin).toBeLessThan(20_000);
    const other = await scene.consuming({ url: area.url });
    const [message] = await eventually(
      () => other.catcher.caught,
      ({ length }) => length === 1,
      20_000,
    );
    expect(message?.isRedelivery).toBe(true);
  });

  it('shares a subscription among processes', async () => {
    const [one, two] = [await scene.consuming(), await scene.consuming()];
    for (const { catcher } of [one, two]) catcher.work = () => quiet(10);
    await one.transport.publish(Array.from({ length: 40 }, (_, i) => envelopeOf(`${i}`)));
    await eventually(
      () => one.catcher.caught.length + two.catcher.caught.length,
      (length) => length === 40,
    );
    expect(one.catcher.caught.length * two.catcher.caught.length).toBeGreaterThan(0);
  });
});
