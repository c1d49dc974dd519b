import { randomUUID } from 'node:crypto';
import { describeWithRabbit, envelopeOf, openRabbit, quiet, type RabbitArea, eventually } from '@holdfast-internal/test-support';
import { envelopeFrom, type ReceivedReply } from '@holdfast/core';
import { Scene } from './rabbit-scene.spec.js';

const ignore = () => undefined;

describeWithRabbit('replies', () => {
  let area: RabbitArea;
  let scene: Scene;
  beforeAll(async () => {
    area = await openRabbit();
  });
  afterAll(() => area.drop());
  beforeEach(async () => {
    scene = await Scene.open(area);
  });
  afterEach(() => scene.close());

  const replyOf = (text: string, destination: string | undefined) =>
    envelopeOf(JSON.stringify(text), { type: 'holdfast.reply', kind: 'reply', causationId: 'r-1', destination });

  /** A transport that has asked once: what it gets, and where. */
  async function asking() {
    const transport = scene.transport();
    await transport.start({ subscriptions: [] });
    const received: ReceivedReply[] = [];
    const moved: string[] = [];
    const address = await transport.openReplies(
      (reply) => received.push(reply),
      (to) => moved.push(to),
    );
    const texts = () => received.map(({ body }) => JSON.parse(Buffer.from(body).toString()) as string);
    return { transport, received, address, moved, texts };
  }

  it('come to the queue of the process that asked, as they were sent, past the exchange', async () => {
    const [one, other] = [await asking(), await asking()];
    expect(one.address).not.toBe(other.address);
    const outcomes = await one.transport.publish([replyOf('to one ✓', one.address), replyOf('to other', other.address)]);
    expect(outcomes).toEqual(['confirmed', 'confirmed']);
    await eventually(
      () => [...one.texts(), ...other.texts()],
      ({ length }) => length === 2,
    );
    expect([one.texts(), other.texts()]).toEqual([['to one ✓'], ['to other']]);
    const [reply] = one.received;
    expect(envelopeFrom(reply!.attributes, reply!.body)).toMatchObject({ kind: 'reply', causationId: 'r-1', source: 'scene' });
  });

  it('wait for a process whose connection is away, and come once it is back', async () => {
    const { address, texts } = await asking();
    const sender = scene.transport({ url: area.url });
    await sender.start({ subscriptions: [] });
    scene.way.refuse(true);
    await eventually(
      () => area.as(async (admin) => (await admin.checkQueue(address)).consumerCount),
      (count) => count === 0,
    );
    expect(await sender.publish([replyOf('while away', address)])).toEqual(['confirmed']);
    scene.way.refuse(false);
    expect(
      await eventually(
        () => texts(),
        ({ length }) => length > 0,
      ),
    ).toEqual(['while away']);
  });

  it('have a place again after their queue was deleted under us', async () => {
    const { transport, address, texts } = await asking();
    await area.as((admin) => admin.deleteQueue(address));
    await eventually(
      () => transport.publish([replyOf('again', address)]),
      ([outcome]) => outcome === 'confirmed',
    );
    await eventually(
      () => texts(),
      (seen) => seen.includes('again'),
    );
  });

  it('come to another queue, of which is told, when the first one cannot be had any more, as with the node away that has it', async () => {
    const { transport, address, moved, texts } = await asking();
    expect(moved).toEqual([]);
    // One process and one node: what somebody has for himself is out of reach in the same way.
    await area.as(async (admin) => {
      await Promise.all([admin.deleteQueue(address), admin.assertQueue(address, { exclusive: true, durable: true })]);
      await eventually(
        () => moved,
        ({ length }) => length > 0,
      );
    });
    expect(moved).toEqual([`${address}/2`]);
    expect(await transport.publish([replyOf('here', moved[0])])).toEqual(['confirmed']);
    await eventually(
      () => texts(),
      (seen) => seen.includes('here'),
    );
    await scene.leave(transport);
    await expect(area.as((admin) => admin.checkQueue(moved[0] as string))).rejects.toThrow(/NOT_FOUND/);
  });

  it('are unroutable once their process has stopped, and leave no queue behind', async () => {
    const { transport, address } = await asking();
    const sender = scene.transport();
    await sender.start({ subscriptions: [] });
    await transport.close(2000);
    await eventually(
      () => sender.publish([replyOf('late', address)]),
      ([outcome]) => outcome === 'unroutable',
    );
    await expect(area.as((admin) => admin.checkQueue(address))).rejects.toThrow(/NOT_FOUND/);
  });

  it('have no place in a process that stops while it makes one, nor afterwards', async () => {
    const transport = scene.transport();
    await transport.start({ subscriptions: [] });
    scene.way.swallow();
    const ended = transport.openReplies(ignore, ignore).catch(({ name }: Error) => name);
    await scene.leave(transport);
    expect(await Promise.race([ended, quiet(5000)])).toBe('HoldfastError');
    await expect(transport.openReplies(ignore, ignore)).rejects.toMatchObject({ code: 'HF_STOPPING' });
  });

  it('leave no queue behind where it is made while its process stops', async () => {
    const nodeId = randomUUID();
    const transport = scene.transport({}, nodeId);
    await transport.start({ subscriptions: [] });
    scene.way.lag(100);
    const opening = transport.openReplies(ignore, ignore).catch(ignore);
    await quiet(150);
    await transport.close(5000);
    await opening;
    await expect(area.as((admin) => admin.checkQueue(`${scene.exchange}//replies/${nodeId}`))).rejects.toThrow(/NOT_FOUND/);
  });

  it('to what is no address are unroutable, and those after them are sent', async () => {
    const { transport, address, texts } = await asking();
    const nowhere = [undefined, '', 'store:7f', 'ü'.repeat(200)].map((destination) => replyOf('nowhere', destination));
    expect(await transport.publish([...nowhere, replyOf('here', address)])).toEqual([...nowhere.map(() => 'unroutable'), 'confirmed']);
    await eventually(
      () => texts(),
      (seen) => seen.includes('here'),
    );
  });

  it('are refused with the reason where the queue cannot be made, and may be asked for again', async () => {
    const transport = scene.transport({}, 'one');
    await transport.start({ subscriptions: [] });
    // Another program has made it, and differently.
    const name = `${scene.exchange}//replies/one`;
    await area.as((admin) => admin.assertQueue(name, { durable: true }));
    await expect(transport.openReplies(ignore, ignore)).rejects.toMatchObject({
      code: 'HF_BROKER_TOPOLOGY',
      message: expect.stringContaining('x-expires'),
    });
    await area.as((admin) => admin.deleteQueue(name));
    expect(await transport.openReplies(ignore, ignore)).toBe(name);
  });
});
