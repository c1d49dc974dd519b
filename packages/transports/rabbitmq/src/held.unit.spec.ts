import { type DeadLetterReason, HeldIntake, type Incoming } from '@holdfast/core';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { OpenChannel } from './connection.js';
import { Held } from './held.js';

/** A channel that notes what is said on it. */
function scene(...repeats: readonly boolean[]) {
  const said: string[] = [];
  const open = {
    isOpen: true,
    channel: {
      ack: (message: ConsumeMessage) => said.push(`ack ${message.fields.deliveryTag}`),
      nack: (message: ConsumeMessage, _upTo: boolean, requeue: boolean) => said.push(`nack ${message.fields.deliveryTag} ${requeue}`),
    },
  };
  const messages = repeats.map((isRedelivery, n) => ({ place: `q/1/${n}`, isRedelivery }) as Incoming);
  const put = async (message: ConsumeMessage, { failure }: DeadLetterReason): Promise<void> => {
    if (failure.code === 'LOST') throw new Error('nobody knows');
    said.push(`put ${message.fields.deliveryTag} ${failure.code}`);
  };
  const parts = { channel: open as unknown as OpenChannel<Channel>, putDeadLetter: put };
  const held = messages.map((message, n) => new Held(message, { fields: { deliveryTag: n } } as ConsumeMessage, parts));
  return { said, open, messages, intake: new HeldIntake(held, 'q') };
}

describe('messages that the broker handed over', () => {
  it('are taken as often as it needs until they are settled, each once', async () => {
    const { said, messages, intake } = scene(false, false, false);
    expect(await intake.take(undefined, 2)).toMatchObject({ messages: messages.slice(0, 2), hasMore: true, isSuspect: false });
    expect((await intake.take(undefined, 2)).messages).toEqual(messages.slice(0, 2));
    await intake.settle(messages.slice(0, 2), 'ack');
    await intake.settle(messages.slice(0, 2), 'ack');
    expect(await intake.take(undefined, 2)).toMatchObject({ messages: messages.slice(2), hasMore: false });
    expect(said).toEqual(['ack 0', 'ack 1']);
    expect(await intake.retake(undefined, messages[0]!)).toBe(false);
  });

  it('are not mixed with repeats: those are suspect, and taken by themselves', async () => {
    const { messages, intake } = scene(false, true, true, false);
    const [first, second, third, fourth] = messages as [Incoming, Incoming, Incoming, Incoming];
    expect(await intake.take(undefined, 10)).toMatchObject({ messages: [first], isSuspect: false, hasMore: true });
    await intake.settle([first], 'ack');
    expect(await intake.take(undefined, 10)).toMatchObject({ messages: [second, third], isSuspect: true, hasMore: true });
    await intake.settle([second, third], 'ack');
    expect(await intake.take(undefined, 10)).toMatchObject({ messages: [fourth], isSuspect: false, hasMore: false });
  });

  it('are handled like new ones when they came back once, and are suspect when they came back again', async () => {
    const { messages, intake } = scene(false, true, true);
    const [first, once, twice] = messages as [Incoming, Incoming, Incoming];
    Object.assign(once, { timesReturned: 1 });
    Object.assign(twice, { timesReturned: 2 });
    expect(await intake.take(undefined, 10)).toMatchObject({ messages: [first, once], isSuspect: false });
    await intake.settle([first, once], 'ack');
    expect(await intake.take(undefined, 10)).toMatchObject({ messages: [twice], isSuspect: true });
  });

  it('stay in hand when they cannot be dealt with now, and go back when they are given back', async () => {
    const { said, messages, intake } = scene(false, false);
    await intake.settle(messages, 'requeue');
    expect(intake.length).toBe(2);
    await intake.settle([messages[0]!], 'ack');
    intake.giveBack();
    intake.giveBack();
    expect(said).toEqual(['ack 0', 'nack 1 true']);
    expect(intake.length).toBe(0);
  });

  it('are not ours any more once the channel is gone: nothing is taken, leased, stored or said', async () => {
    const { said, open, messages, intake } = scene(false);
    const lease = await intake.lease(1);
    await lease?.renew();
    open.isOpen = false;
    await expect(lease?.renew()).rejects.toMatchObject({ code: 'HF_LEASE_LOST' });
    await expect(lease?.finish(undefined)).rejects.toMatchObject({ code: 'HF_LEASE_LOST' });
    expect((await intake.take(undefined, 1)).messages).toEqual([]);
    expect(await intake.retake(undefined, messages[0]!)).toBe(false);
    expect(await intake.lease(1)).toBeUndefined();
    await intake.settle(messages, 'ack');
    intake.giveBack();
    expect(said).toEqual([]);
  });

  it('are acknowledged as dead letters once those are put away', async () => {
    const { said, messages, intake } = scene(false, false, false);
    const reason = (code: string) => ({ deadLetter: { failure: { code } } as DeadLetterReason });
    await expect(intake.settle([messages[0]!], reason('LOST'))).rejects.toThrow('nobody knows');
    expect(said).toEqual([]);
    expect(intake.length).toBe(3);
    await intake.settle([messages[0]!], reason('BAD'));
    await intake.settle([messages[0]!], reason('BAD'));
    expect(said).toEqual(['put 0 BAD', 'ack 0']);
    expect(intake.length).toBe(2);
  });

  it('come again when the channel is closed at the moment of the acknowledgement', async () => {
    const { open, messages, intake } = scene(false);
    open.channel.ack = () => {
      throw new Error('Channel closed');
    };
    await expect(intake.settle(messages, 'ack')).resolves.toBeUndefined();
  });
});
