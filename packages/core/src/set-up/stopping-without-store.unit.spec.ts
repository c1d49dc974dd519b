// What can still be published while a process without a store stops, over transports that write down what is asked of them.
import { Holdfast } from '../holdfast.js';
import type { Envelope } from '../message/envelope.js';
import { silentLogger } from '../monitoring/logger.js';
import { intakeOf, Placed } from './stopping-scene.spec.js';
import type { PublishOutcome, Sink, TransportCapabilities, TransportFactory } from '../transport/transport.port.js';

const CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: false,
  sharedSubscriptions: true,
  partitionedDelivery: true,
  fromEarliest: true,
  withoutStore: true,
  renamedSubscriptions: true,
  replies: true,
};

/** What a broker of these transports does with a message, until the process has let go of it. */
type Answer = (envelope: Envelope) => PublishOutcome | Promise<PublishOutcome>;

/** A transport that hands one message to its subscription, and has nothing in hand where there is none. */
function scripted(name: string, transcript: string[], answer: Answer = () => 'confirmed'): TransportFactory {
  let isClosed = false;
  let work: Promise<unknown> | undefined;
  const intake = intakeOf(transcript);
  return {
    transport: name,
    capabilities: CAPABILITIES,
    create: () => ({
      capabilities: CAPABILITIES,
      isBusy: false,
      health: { status: 'up', problem: undefined },
      start: async () => undefined,
      subscribe: async (_: unknown, sink: Sink) => {
        work = sink.handle(intake);
      },
      openReplies: async () => '',
      nudge: () => undefined,
      publish: (batch: readonly Envelope[]) =>
        Promise.all(
          batch.map(async (envelope) => {
            const outcome = isClosed ? 'unknown' : await answer(envelope);
            transcript.push(`${name}: ${outcome}`);
            return outcome;
          }),
        ),
      drain: async () => {
        await work;
        transcript.push(`${name} has drained`);
      },
      close: async () => {
        isClosed = true;
        transcript.push(`${name} is closed`);
      },
    }),
  };
}

describe('a stop without a store', () => {
  it('closes no transport before all of them have drained, so that handlers in hand publish over any', async () => {
    const transcript: string[] = [];
    const transports = { default: scripted('default', transcript), events: scripted('events', transcript) };
    const holdfast = new Holdfast({ service: 'shop', transports }, { logger: silentLogger });
    let stopped: Promise<void> | undefined;
    const handler = async () => {
      stopped = holdfast.stop();
      await new Promise(setImmediate);
      await holdfast.bus.publish(new Placed(), { destination: 'events:order.placed' });
    };
    await holdfast.on(Placed, handler, { name: 'orders.book' }).start();
    while (stopped === undefined) await new Promise(setImmediate);
    await stopped;
    expect(transcript).toEqual([
      'events has drained',
      'events: confirmed',
      'the message is consumed',
      'default has drained',
      'default is closed',
      'events is closed',
    ]);
  });

  it('leaves publishing to callers until its end, and refuses it from then on', async () => {
    const transcript: string[] = [];
    const holdfast = new Holdfast({ service: 'shop', transport: scripted('default', transcript) }, { logger: silentLogger });
    await holdfast.start();
    await holdfast.drain();
    await holdfast.bus.publish(new Placed());
    await Promise.all([holdfast.stop(), holdfast.stop()]);
    await expect(holdfast.bus.publish(new Placed())).rejects.toMatchObject({
      code: 'HF_STOPPING',
      details: { activity: 'publishing order.placed' },
    });
    expect(transcript).toEqual(['default has drained', 'default: confirmed', 'default is closed']);
  });

  it('tells at once of a message whose outcome is unknown then, and does not publish it again', async () => {
    const transcript: string[] = [];
    let answer = (_: PublishOutcome) => undefined as void;
    const asked = () =>
      new Promise<PublishOutcome>((resolve) => {
        answer = resolve;
      });
    const holdfast = new Holdfast({ service: 'shop', transport: scripted('default', transcript, asked) }, { logger: silentLogger });
    await holdfast.start();
    const published = holdfast.bus.publish(new Placed());
    await new Promise(setImmediate);
    await holdfast.stop();
    answer('unknown');
    await expect(published).rejects.toMatchObject({ code: 'HF_PUBLISH_FAILED', details: { outcome: 'unknown' } });
    expect(transcript).toEqual(['default has drained', 'default is closed', 'default: unknown']);
  });
});
