import { describeWithRabbit, envelopeOf, quiet, type RabbitArea, specOf, eventually } from '@holdfast-internal/test-support';
import type { Transport } from '@holdfast/core';
import { eachInScene, CONFIRM_MS, LETS_GO_SOON, Scene } from './rabbit-scene.spec.js';

describeWithRabbit('publishing', () => {
  let area: RabbitArea;
  let scene: Scene;
  const queues: string[] = [];
  eachInScene(queues, (opened) => {
    ({ area, scene } = opened);
  });

  describe.each(['confirm', 'tx'] as const)('in the mode %s', (publishMode) => {
    /** A transport that publishes to one queue that nobody reads. */
    const publisher = async (options: Parameters<Scene['transport']>[0] = {}): Promise<Transport> => {
      const transport = scene.transport({ publishMode, ...options });
      await transport.start({ subscriptions: [specOf('reader')] });
      return transport;
    };

    it('gives one outcome per message: confirmed once the broker has it, unroutable when no queue takes its type', async () => {
      const transport = await publisher();
      const told = scene.hear('message:unconfirmed');
      const batch = [envelopeOf('a'), envelopeOf('nobody', { type: 'scene.other' }), envelopeOf('a'), envelopeOf('b', { key: 'k' })];
      expect(await transport.publish(batch)).toEqual(['confirmed', 'unroutable', 'confirmed', 'confirmed']);
      expect(
        await eventually(
          () => scene.ready(),
          (count) => count === 3,
        ),
      ).toBe(3);
      expect(told).toEqual([
        { id: 'nobody', source: 'scene', type: 'scene.other', key: undefined, outcome: 'unroutable', error: undefined },
      ]);
      expect(transport.isBusy).toBe(false);
    });

    it('keeps the order of a key through lost connections, and loses nothing', async () => {
      const { transport, catcher } = await scene.consuming({ publishMode }, specOf('reader', { concurrency: 1 }));
      const wanted = Array.from({ length: 400 }, (_, i) => envelopeOf(`${i}`, { key: `k${i % 4}` }));
      let left: typeof wanted = wanted;
      const cutting = (async () => {
        for (let cuts = 0; cuts < 5; cuts += 1) await scene.way.cutAfter(20_000);
      })();
      let rounds = 0;
      for (; left.length > 0; rounds += 1) {
        const outcomes = await transport.publish(left);
        left = left.filter((_, i) => outcomes[i] !== 'confirmed');
      }
      await cutting;
      expect(rounds).toBeGreaterThan(1);
      await eventually(
        () => new Set(catcher.texts).size,
        (size) => size === 400,
      );
      for (let k = 0; k < 4; k += 1) {
        const firsts = [...new Set(catcher.texts)].map(Number).filter((n) => n % 4 === k);
        expect(firsts).toEqual([...firsts].sort((a, b) => a - b));
      }
    });

    it('says unknown when the confirm is lost after the broker has stored the message, and goes on over a new connection', async () => {
      const transport = await publisher({ ...LETS_GO_SOON, confirmTimeout: 500 });
      scene.way.mute();
      expect(await transport.publish([envelopeOf('a')])).toEqual(['unknown']);
      expect(
        await eventually(
          () => transport.publish([envelopeOf('a')]),
          ([outcome]) => outcome === 'confirmed',
        ),
      ).toEqual(['confirmed']);
      expect(await scene.ready()).toBeGreaterThan(1);
    });

    it('says rejected of what cannot be said in AMQP, and sends what is beside it', async () => {
      const transport = await publisher();
      const told = scene.hear('message:unconfirmed');
      const outcomes = await transport.publish([
        envelopeOf('a'),
        envelopeOf('huge', { headers: { huge: 'x'.repeat(70_000) } }),
        envelopeOf('long', { headers: { ['n'.repeat(300)]: '' } }),
        envelopeOf('b'),
      ]);
      expect(outcomes).toEqual(['confirmed', 'rejected', 'rejected', 'confirmed']);
      expect(told.map(({ id }) => id)).toEqual(['huge', 'long']);
    });

    it('does not send what is behind a refused message in its key', async () => {
      const transport = await publisher();
      const huge = envelopeOf('huge', { key: 'k', headers: { huge: 'x'.repeat(70_000) } });
      const outcomes = await transport.publish([huge, envelopeOf('behind', { key: 'k' }), envelopeOf('beside', { key: 'l' })]);
      expect(outcomes).toEqual(['rejected', 'unknown', 'confirmed']);
      await eventually(
        () => scene.ready(),
        (count) => count === 1,
      );
    });

    it('says unknown when the broker closes the channel, and waits until its exchange is there again', async () => {
      const transport = await publisher();
      const [failed, told] = [scene.hear('poll:failed'), scene.hear('message:unconfirmed')];
      await area.as((admin) => admin.deleteExchange(scene.exchange));
      const begin = performance.now();
      expect(await transport.publish([envelopeOf('a'), envelopeOf('b')])).toEqual(['unknown', 'unknown']);
      expect(performance.now() - begin).toBeLessThan(CONFIRM_MS);
      expect(told[0]).toMatchObject({ outcome: 'unknown', error: { code: 404 } });
      await eventually(
        () => failed.map(({ error }) => (error as { code?: string }).code),
        (codes) => codes.includes('HF_BROKER_TOPOLOGY'),
      );
      await area.as(async (admin) => {
        await admin.assertExchange(scene.exchange, 'topic', { durable: true });
        await admin.bindQueue(scene.queueOf(), scene.exchange, 'scene.happened.*');
      });
      await eventually(
        () => transport.publish([envelopeOf('a')]),
        ([outcome]) => outcome === 'confirmed',
      );
    });

    it('says rejected of a reply where its user may not write to the default exchange, and does not try another one', async () => {
      await publisher();
      const url = area.writingTo?.('^(?!amq\\.default$).*');
      if (url === undefined) return;
      const transport = scene.transport({ publishMode, url, topology: 'check' });
      await transport.start({ subscriptions: [specOf('reader')] });
      const told = scene.hear('message:unconfirmed');
      const reply = envelopeOf('"yes"', { type: 'holdfast.reply', kind: 'reply', causationId: 'r-1', destination: scene.queueOf() });
      expect(await transport.publish([reply])).toEqual(['rejected']);
      expect(await transport.publish([envelopeOf('a'), reply, envelopeOf('b')])).toEqual(['confirmed', 'rejected', 'confirmed']);
      expect(told.map(({ outcome }) => outcome)).toEqual(['rejected', 'rejected']);
    });

    it('waits while the broker takes no messages, and goes on when it does', async () => {
      const transport = await publisher();
      const [blocked, unblocked] = [scene.hear('broker:blocked'), scene.hear('broker:unblocked')];
      scene.block('low memory');
      await eventually(
        () => blocked.length,
        (length) => length === 2,
      );
      const outcome = transport.publish([envelopeOf('a')]);
      await quiet();
      expect(await scene.ready()).toBe(0);
      expect(transport.health).toEqual({
        status: 'blocked',
        problem: expect.stringMatching(/^the connection to publish at .*: low memory$/),
      });
      scene.unblock();
      expect(await outcome).toEqual(['confirmed']);
      expect(transport.health).toEqual({ status: 'up', problem: undefined });
      expect(blocked[0]).toMatchObject({ transport: 'rabbitmq', reason: 'low memory' });
      expect(unblocked.map(({ connection }) => connection).sort()).toEqual(['consume', 'publish']);
    });

    it('waits for a broker that is away, and says where it is without its password', async () => {
      const transport = await publisher({ confirmTimeout: '15s' });
      const [connected, lost] = [scene.hear('broker:connected'), scene.hear('broker:disconnected')];
      scene.way.refuse(true);
      await eventually(
        () => lost.length,
        (length) => length >= 2,
      );
      const outcome = transport.publish([envelopeOf('a')]);
      await eventually(
        () => lost.length,
        (length) => length >= 5,
      );
      expect(JSON.stringify(lost.map(({ address }) => address))).not.toContain('guest');
      expect(transport.health).toEqual({ status: 'down', problem: expect.stringMatching(/^the connection to publish at .*: /) });
      expect(transport.health.problem).not.toContain('guest');
      scene.way.refuse(false);
      expect(await outcome).toEqual(['confirmed']);
      expect(connected.find(({ connection }) => connection === 'publish')).toMatchObject({ generation: 2 });
    });
  });
});
