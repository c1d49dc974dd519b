import {
  describeWithRabbit,
  envelopeOf,
  PausableSink,
  type RabbitArea,
  readBack,
  specOf,
  eventually,
} from '@holdfast-internal/test-support';
import type { DeadLetterReason, Intake } from '@holdfast/core';
import type { GetMessage } from 'amqplib';
import { eachInScene, Scene } from './rabbit-scene.spec.js';

const REASON: DeadLetterReason = {
  subscription: 'reader',
  attempts: 3,
  at: new Date('2026-01-02T03:04:05.678Z'),
  failure: {
    code: 'CARD_EXPIRED',
    errorType: 'CardError',
    message: 'the card — 🔑',
    stack: `CardError: x\n${'at '.repeat(5000)}`,
    fingerprint: 'f00',
  },
};

/** Gives up everything, until it succeeds. */
class Undertaker extends PausableSink {
  readonly failures: unknown[] = [];
  buried = 0;
  before = async (): Promise<void> => undefined;

  async handle(intake: Intake) {
    const { messages } = await intake.take(undefined as never, 1);
    try {
      await this.before();
      await intake.settle(messages, { deadLetter: REASON });
      this.buried += messages.length;
    } catch (error) {
      this.failures.push(error);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return 'worked' as const;
  }
}

describeWithRabbit('a dead letter', () => {
  let area: RabbitArea;
  let scene: Scene;
  const queues: string[] = [];
  eachInScene(queues, (opened) => {
    ({ area, scene } = opened);
  });

  const burying = async (options: Parameters<Scene['transport']>[0] = {}) => {
    const spec = specOf('reader', { concurrency: 1 });
    const transport = scene.transport(options);
    const undertaker = new Undertaker();
    await transport.start({ subscriptions: [spec] });
    await transport.subscribe(spec, undertaker);
    return { transport, undertaker };
  };
  const bodyOf = (message: GetMessage | false) => (message === false ? undefined : message.content.toString());
  const found = async (): Promise<GetMessage> => {
    // Its queue may not be there yet.
    const get = () => area.as((admin) => admin.get(scene.deadLettersOf(), { noAck: true })).catch((): false => false);
    return (await eventually(get, (message) => message !== false)) as GetMessage;
  };

  it.each(['confirm', 'tx'] as const)(
    'is the message as it came, with the reason, and handled anew when it is moved back (%s)',
    async (publishMode) => {
      const { transport } = await burying({ publishMode });
      const headers = { tenant: 't', CC: 'copy', 'holdfast-dead-code': 'mine' };
      await transport.publish([envelopeOf('{"a":"ü"}', { id: 'order/1', key: 'k', headers })]);
      const letter = await found();
      expect(bodyOf(letter)).toBe('{"a":"ü"}');
      expect(letter.properties).toMatchObject({ contentType: 'application/json', deliveryMode: 2 });
      expect(letter.properties.headers).toMatchObject({
        'cloudEvents:id': 'order/1',
        'cloudEvents:partitionkey': 'k',
        tenant: 't',
        'holdfast-dead-subscription': 'reader',
        'holdfast-dead-attempts': 3,
        'holdfast-dead-at': '2026-01-02T03:04:05.678Z',
        'holdfast-dead-code': 'CARD_EXPIRED',
        'holdfast-dead-reason': 'the card — 🔑',
        'holdfast-dead-fingerprint': 'f00',
        'holdfast-dead-stack': expect.stringMatching(/^CardError: x/),
      });
      await scene.leave(transport);
      const { catcher } = await scene.consuming();
      await area.as(async (admin) => {
        admin.sendToQueue(scene.queueOf(), letter.content, letter.properties as never);
        await admin.checkExchange(scene.exchange);
      });
      const [again] = await eventually(
        () => catcher.caught,
        ({ length }) => length === 1,
      );
      const back = readBack(again!);
      expect([back.id, back.key, { ...back.headers }]).toEqual(['order/1', 'k', headers]);
    },
  );

  it('keeps what a foreign producer wrote but what would copy it, throw it away, or be refused', async () => {
    await burying();
    await area.as(async (admin) => {
      const options = {
        expiration: 60_000,
        messageId: 'm',
        type: 'x',
        correlationId: 'c',
        timestamp: 1,
        headers: { BCC: [scene.queueOf()], n: 7 },
      };
      admin.publish(scene.exchange, 'scene.happened.none', Buffer.from([0, 255]), options);
      await admin.checkExchange(scene.exchange);
    });
    const { content, properties } = await found();
    expect([...content]).toEqual([0, 255]);
    expect(properties).toMatchObject({
      expiration: undefined,
      messageId: 'm',
      type: 'x',
      correlationId: 'c',
      timestamp: 1,
      headers: { n: 7 },
    });
    expect(properties.headers).not.toHaveProperty('BCC');
  });

  it('leaves out headers that leave no room for the reason, and tells their names', async () => {
    const { undertaker } = await burying();
    const many = Object.fromEntries(Array.from({ length: 90 }, (_, i) => [`h${10 + i}`, 'x'.repeat(600)]));
    await area.as(async (admin) => {
      for (const headers of [{ tenant: 't', large: 'x'.repeat(50_000) }, many])
        admin.publish(scene.exchange, 'scene.happened.none', Buffer.from('large'), { headers });
      await admin.checkExchange(scene.exchange);
    });
    const [one, other] = [await found(), await found()];
    expect(bodyOf(one)).toBe('large');
    expect(one.properties.headers).toMatchObject({
      tenant: 't',
      'holdfast-dead-code': 'CARD_EXPIRED',
      'holdfast-dead-left-out': '1: large',
    });
    expect(one.properties.headers).not.toHaveProperty('large');
    expect(other.properties.headers?.['holdfast-dead-left-out']).toMatch(/^90: h10, h11, .*, h29$/);
    expect(undertaker.failures).toEqual([]);
  });

  it('stays in hand while its queue takes nothing, and is put there when it does', async () => {
    const { transport, undertaker } = await burying();
    await area.as((admin) => admin.deleteQueue(scene.deadLettersOf()));
    await transport.publish([envelopeOf('a')]);
    // Made again, since that is ours to do.
    expect(bodyOf(await found())).toBe('a');
    expect(undertaker.failures).toMatchObject([
      { code: 'HF_BROKER_DEAD_LETTER', details: { queue: scene.deadLettersOf(), outcome: 'unroutable' } },
    ]);
  });

  it('is put there also after the exchange was deleted with its queue: the queue is made again, the exchange is not', async () => {
    const { transport, undertaker } = await burying();
    undertaker.before = async () => {
      if (undertaker.failures.length > 0) return;
      await area.as(async (admin) => {
        await admin.deleteExchange(scene.exchange);
        await admin.deleteQueue(scene.deadLettersOf());
      });
    };
    await transport.publish([envelopeOf('a')]);
    expect(bodyOf(await found())).toBe('a');
    expect(undertaker.failures).toMatchObject([{ code: 'HF_BROKER_TOPOLOGY' }]);
    await expect(area.as((admin) => admin.checkExchange(scene.exchange))).rejects.toMatchObject({ code: 404 });
  });

  it("stays in hand with topology 'check' until somebody makes its queue", async () => {
    await scene.transport().start({ subscriptions: [specOf('reader')] });
    const { transport, undertaker } = await burying({ topology: 'check' });
    await area.as((admin) => admin.deleteQueue(scene.deadLettersOf()));
    await transport.publish([envelopeOf('a'), envelopeOf('b')]);
    await eventually(
      () => undertaker.failures,
      ({ length }) => length > 2,
    );
    expect(undertaker.buried).toBe(0);
    await area.as((admin) => admin.assertQueue(scene.deadLettersOf(), { durable: true, arguments: scene.quorum }));
    await eventually(
      () => undertaker.buried,
      (count) => count === 2,
    );
  });

  it('is there and not lost when the connections are cut around it', async () => {
    const { transport, undertaker } = await burying();
    let cuts = 0;
    undertaker.before = async () => {
      cuts += 1;
      if (cuts % 5 === 1) setImmediate(() => scene.way.cut());
    };
    const texts = Array.from({ length: 20 }, (_, i) => `${i}`);
    for (const text of texts)
      await eventually(
        () => transport.publish([envelopeOf(text)]),
        ([outcome]) => outcome === 'confirmed',
      );
    const letters = new Set<string | undefined>();
    await eventually(
      async () => {
        letters.add(bodyOf(await area.as((admin) => admin.get(scene.deadLettersOf(), { noAck: true }))));
        return letters.size;
      },
      () => texts.every((text) => letters.has(text)),
      30_000,
    );
  });
});
