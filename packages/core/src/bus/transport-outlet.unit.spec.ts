import { subscribe } from '../monitoring/events.js';
import { silentLogger } from '../monitoring/logger.js';
import { Command, Message } from '../message/message.js';
import { Holdfast } from '../holdfast.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { seededRandom } from '../time/random.js';
import type { PublishOutcome, Transport, TransportCapabilities } from '../transport/transport.port.js';

@Message('order.placed')
class Placed {}

@Message('order.large')
class Large {
  readonly text = 'x'.repeat(2 ** 19);
}

@Message('order.cancel')
class Cancel extends Command<void> {}

const CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: false,
  sharedSubscriptions: true,
  partitionedDelivery: false,
  fromEarliest: false,
  withoutStore: true,
  renamedSubscriptions: false,
  replies: false,
};

/** A bus without a store over a broker that gives these answers one after another, the last one for ever; each takes `tookMs`. */
function scene(answers: readonly (PublishOutcome | 'silent')[], tookMs = 0) {
  const time = new VirtualTime();
  const ids: string[] = [];
  const transport = {
    capabilities: CAPABILITIES,
    publish: async ([envelope]: readonly { readonly id: string }[]) => {
      const answer = answers[Math.min(ids.length, answers.length - 1)];
      ids.push(envelope!.id);
      if (tookMs > 0) await time.sleep(tookMs);
      return answer === 'silent' ? new Promise(() => undefined) : [answer];
    },
  } as unknown as Transport;
  const factory = { transport: 'scripted', capabilities: CAPABILITIES, create: () => transport };
  const runtime = { clock: time, scheduler: time, random: seededRandom(1), logger: silentLogger };
  return { time, ids, bus: new Holdfast({ service: 'shop', transport: factory }, runtime).bus };
}

async function outcomeOf({ time }: { readonly time: VirtualTime }, published: Promise<unknown>, forMs = 600_000): Promise<unknown> {
  const outcome = published.catch((error: { readonly code: string; readonly details: { readonly outcome?: string } }) => [
    error.code,
    error.details.outcome,
  ]);
  await time.advance(forMs);
  return outcome;
}

describe('a publish without a store', () => {
  it('ends with the confirm of the broker, and not before', async () => {
    const { bus, ids } = scene(['silent']);
    const published: string[] = [];
    const stop = subscribe('message:published', ({ id }) => published.push(id));
    let isDone = false;
    void bus.publish(new Placed(), { id: 'a' }).then(() => {
      isDone = true;
    });
    await new Promise(setImmediate);
    expect([ids, isDone, published]).toEqual([['a'], false, []]);
    const other = scene(['confirmed']);
    expect(await other.bus.publish(new Placed(), { id: 'b' })).toEqual({ id: 'b', source: 'shop' });
    expect(published).toEqual(['b']);
    stop();
  });

  it('gives the broker the message again, with the same id, while nobody knows whether it has it', async () => {
    const one = scene(['unknown', 'unknown', 'confirmed']);
    expect(await outcomeOf(one, one.bus.publish(new Placed(), { id: 'a' }))).toEqual({ id: 'a', source: 'shop' });
    expect(one.ids).toEqual(['a', 'a', 'a']);
  });

  it('fails after five of them, and begins none after half a minute', async () => {
    const quick = scene(['unknown']);
    expect(await outcomeOf(quick, quick.bus.publish(new Placed()))).toEqual(['HF_PUBLISH_FAILED', 'unknown']);
    expect(quick.ids).toHaveLength(5);
    const slow = scene(['unknown'], 20_000);
    expect(await outcomeOf(slow, slow.bus.publish(new Placed()))).toEqual(['HF_PUBLISH_FAILED', 'unknown']);
    expect(slow.ids).toHaveLength(2);
  });

  it('is tried once more when the first time lasted longer than all of them may, as when the process stood still', async () => {
    const one = scene(['unknown', 'confirmed'], 40_000);
    expect(await outcomeOf(one, one.bus.publish(new Placed(), { id: 'a' }))).toEqual({ id: 'a', source: 'shop' });
    const slow = scene(['unknown'], 40_000);
    expect(await outcomeOf(slow, slow.bus.publish(new Placed()))).toEqual(['HF_PUBLISH_FAILED', 'unknown']);
    expect(slow.ids).toHaveLength(2);
  });

  it('fails at once when the broker refuses it', async () => {
    const one = scene(['rejected']);
    await expect(one.bus.publish(new Placed(), { id: 'a' })).rejects.toThrow('order.placed a was not accepted by the broker: rejected.');
    expect(one.ids).toEqual(['a']);
  });

  it('of a command that no queue takes fails; an event that nobody wants does not', async () => {
    const { bus } = scene(['unroutable']);
    await expect(bus.send(new Cancel())).rejects.toMatchObject({ code: 'HF_COMMAND_UNROUTABLE' });
    await expect(bus.publish(new Placed())).resolves.toMatchObject({ source: 'shop' });
  });

  it('is refused with a delay, with a moment, and when too many wait already', async () => {
    const { bus, ids } = scene(['silent']);
    for (const when of [{ delay: 1 }, { at: new Date() }])
      await expect(bus.publish(new Placed(), when)).rejects.toThrow(
        'publishing with delay or at is not possible with scripted without a store',
      );
    expect(ids).toEqual([]);
    for (let n = 0; n < 10_000; n += 1) void bus.publish(new Placed());
    await new Promise(setImmediate);
    await expect(bus.publish(new Placed())).rejects.toMatchObject({ code: 'HF_PUBLISH_CROWDED' });
    expect(ids).toHaveLength(10_000);
  });

  it('is refused when those that wait have bodies of 64 MiB already', async () => {
    const { bus, ids } = scene(['silent']);
    for (let n = 0; n < 127; n += 1) void bus.publish(new Large());
    await new Promise(setImmediate);
    await expect(bus.publish(new Large())).rejects.toMatchObject({ code: 'HF_PUBLISH_CROWDED', details: { waiting: 127 } });
    expect(ids).toHaveLength(127);
  });
});
