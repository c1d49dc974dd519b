import { textOf } from '@holdfast-internal/test-support';
import { VirtualTime } from '@holdfast/core';
import type { ReceivedMessage, RocketmqConsumer } from './client.port.js';
import { Hand } from './hand.js';

const INVISIBLE_MS = 9000;
const OVER = Object.assign(new Error('over'), { code: 40_013 });

describe('what a process has in hand', () => {
  const setUp = ({ isOrdered = true } = {}) => {
    const time = new VirtualTime();
    const asked: string[] = [];
    let failing: Error | undefined;
    let answerMs = 0;
    const ask = (what: string) => async (message: ReceivedMessage) => {
      asked.push(`${what} ${Buffer.from(message.body)}`);
      if (answerMs > 0) await time.sleep(answerMs);
      if (failing !== undefined) throw failing;
    };
    const consumer = { ack: ask('ack'), keep: ask('keep') } as unknown as RocketmqConsumer;
    const putDeadLetter = async () => undefined;
    let changed = () => undefined as void;
    const parts = { clock: time, scheduler: time, isOrdered, invisibleMs: INVISIBLE_MS, putDeadLetter, changed: () => changed() };
    const hand = new Hand(parts);
    const add = (...texts: readonly string[]) => addLate(0, ...texts);
    const addLate = (lateMs: number, ...texts: readonly string[]) =>
      hand.add(
        texts.map((text) => ({
          topic: 't',
          id: text,
          group: text[0],
          body: Buffer.from(text),
          properties: new Map(),
          attempt: 1,
          at: new Date(0),
        })),
        () => consumer,
        time.monotonicMs() - lateMs,
      );
    const take = (limit = 1) => {
      const taken = hand.take(limit);
      return { ...taken, messages: taken?.messages ?? [], texts: taken?.messages.map(({ incoming }) => textOf(incoming)) };
    };
    const fail = (error: Error | undefined) => {
      failing = error;
    };
    /** From now on the broker takes so long to answer. */
    const slow = (ms: number) => {
      answerMs = ms;
    };
    const onChange = (task: () => void) => {
      changed = task;
    };
    return { time, hand, asked, add, addLate, take, fail, slow, onChange };
  };

  it('is worked on one after another in a group, and side by side over groups', () => {
    const { add, take } = setUp();
    add('a1', 'a2', 'b1');
    const first = take();
    expect(first.texts).toEqual(['a1']);
    expect(take().texts).toEqual(['b1']);
    expect(take().texts).toBeUndefined();
    first.done?.();
    expect(take().texts).toEqual(['a2']);
  });

  it('comes before what follows it when it is given back', () => {
    const { add, take } = setUp();
    add('a1', 'a2', 'a3');
    const { messages, done } = take(2);
    messages[0]?.settle('ack');
    messages[1]?.settle('requeue');
    done?.();
    expect(take(2).texts).toEqual(['a2', 'a3']);
  });

  it('is kept as long as it is here', async () => {
    const { time, add, asked } = setUp();
    const [held] = add('a1');
    await time.advance(10 * INVISIBLE_MS);
    expect(held?.isOurs).toBe(true);
    expect(asked.length).toBeGreaterThanOrEqual(15);
    expect(new Set(asked)).toEqual(new Set(['keep a1']));
  });

  it.each([
    [true, ['b1']],
    [false, ['a2', 'b1']],
  ])('that is lost is not ours, and where an order is kept (%s) neither is what waits behind it', async (isOrdered, left) => {
    const { time, add, take, fail, hand } = setUp({ isOrdered });
    add('a1', 'a2', 'b1');
    const { messages, done } = take();
    fail(Object.assign(new Error('over'), { code: 40_013 }));
    // Only the first one is asked for before the others are of age.
    messages[0]?.keep();
    await time.advance(1);
    fail(undefined);
    expect(messages[0]?.isOurs).toBe(false);
    messages[0]?.settle('ack');
    done?.();
    expect(take(9).texts).toEqual(left);
    expect(hand.size).toBe(left.length);
  });

  it('keeps what is behind it from being handled when its time is over before anybody has looked', async () => {
    const { time, add, take, fail } = setUp();
    add('a1', 'a2', 'a3', 'b1');
    const { messages, done } = take(2);
    fail(new Error('away'));
    // The looks come late, as on a machine that stood still.
    const [first, second] = messages;
    (first as { place: { untilMs: number } }).place.untilMs = time.monotonicMs();
    first?.settle('requeue');
    expect([first?.isOurs, second?.isOurs]).toEqual([false, false]);
    done?.();
    expect(take(9).texts).toEqual(['b1']);
  });

  it('that is lost is lost with all that is behind it, before anybody is told that there is something to do', async () => {
    const { time, add, take, fail, onChange } = setUp();
    const [first] = add('a1', 'a2', 'a3');
    const taken: unknown[] = [];
    onChange(() => taken.push(take(9).texts));
    fail(OVER);
    first?.keep();
    await time.advance(1);
    expect(taken).toEqual([undefined]);
  });

  it('that is lost already is not lost again with what has come anew since', async () => {
    const { time, hand, add, take, fail, slow } = setUp();
    add('a1');
    const { messages, done } = take();
    slow(1000);
    fail(new Error('away'));
    messages[0]?.settle('ack');
    done?.();
    // Its time is over between two tries.
    await time.advance(INVISIBLE_MS);
    expect(hand.size).toBe(0);
    add('a1', 'a2');
    await time.advance(500);
    expect(take(9).texts).toEqual(['a1', 'a2']);
  });

  it('is kept at once when it has come late, and not when it has not', async () => {
    const { time, add, addLate, asked } = setUp();
    add('a1');
    addLate(INVISIBLE_MS / 2, 'b1');
    await time.advance(0);
    expect(asked).toEqual(['keep b1']);
  });

  it('is kept by one request at a time, and is settled when that is answered', async () => {
    const { time, addLate, asked, slow, hand } = setUp();
    slow(INVISIBLE_MS / 2);
    const [held] = addLate(INVISIBLE_MS / 2, 'a1');
    await time.advance(INVISIBLE_MS / 3);
    held?.settle('ack');
    await time.advance(INVISIBLE_MS / 3);
    expect(asked).toEqual(['keep a1', 'ack a1']);
    await time.advance(INVISIBLE_MS / 2);
    expect(hand.size).toBe(0);
  });

  it.each([
    [undefined, ['a1', 'a2']],
    [OVER, undefined],
    [new Error('away'), undefined],
  ])('is neither ours nor lost while the broker has not answered whether it is kept, when its time is over (%s)', async (error, texts) => {
    const { time, addLate, take, slow, fail } = setUp();
    slow(INVISIBLE_MS / 2);
    fail(error);
    const held = addLate(INVISIBLE_MS / 2 + 1000, 'a1', 'a2');
    const { done } = take();
    await time.advance(INVISIBLE_MS / 2 - 500);
    expect([held.map(({ isOurs }) => isOurs), take(9).texts]).toEqual([[false, false], undefined]);
    // Given back meanwhile, it waits.
    held[0]?.settle('requeue');
    done?.();
    expect(take(9).texts).toBeUndefined();
    await time.advance(INVISIBLE_MS / 2 + 1000);
    expect(take(9).texts).toEqual(texts);
  });

  it.each([undefined, OVER])('is told to be done also when its time is over, and what is behind it comes again (%s)', async (error) => {
    const { time, add, take, slow, fail, hand, asked } = setUp();
    fail(new Error('away'));
    await time.advance(100);
    add('a1');
    const { messages, done } = take();
    await time.advance(2900);
    const [behind] = add('a2');
    // Its time is over, and nobody has looked.
    await time.advance(INVISIBLE_MS - 2800);
    expect([messages[0]?.isOurs, behind?.isOurs]).toEqual([false, false]);
    slow(1000);
    fail(error);
    messages[0]?.settle('ack');
    done?.();
    await time.advance(500);
    expect(take(9).texts).toBeUndefined();
    await time.advance(600);
    expect([take(9).texts, hand.size, asked.at(-1)]).toEqual([undefined, 0, 'ack a1']);
  });

  it('is waited for no more when nothing is', async () => {
    const { time, add, take, fail, hand } = setUp();
    add('a1');
    fail(new Error('away'));
    const [held] = take().messages;
    held?.settle('ack');
    hand.close();
    let isOver = false;
    void held?.settled.then(() => {
      isOver = true;
    });
    await time.advance(1000);
    expect(isOver).toBe(true);
  });

  it('is in hand until the broker has said that it is settled, and is settled again until then or its time is over', async () => {
    const { time, add, take, fail, hand, asked } = setUp();
    add('a1', 'b1');
    fail(new Error('away'));
    take().messages[0]?.settle('ack');
    await time.advance(1000);
    expect(hand.size).toBe(2);
    fail(undefined);
    await time.advance(1000);
    expect(hand.size).toBe(1);
    fail(new Error('away'));
    take().messages[0]?.settle('ack');
    await time.advance(INVISIBLE_MS + 1000);
    expect(hand.size).toBe(0);
    expect(asked.filter((each) => each === 'ack a1').length).toBeGreaterThan(2);
  });
});
