import { strict as assert } from 'node:assert';
import { Command, Message } from '../../message/message.js';
import type { PublishOptions } from '../../bus/message-bus.js';
import { eventually } from './assertions.js';
import { factsOf, type TransportFact } from './transport-fact.js';
import { type Bench, type Bus, Other, quiet } from './transport-kit.js';

const HALF = { protocol: 'half-message' } as const;

/** Asks its owner for a text, which says so to others too. */
@Message('contract.say')
class Say extends Command<{ said: string }> {
  constructor(readonly text: string) {
    super();
  }
}

/** A process with one subscription. */
async function reading(bench: Bench): Promise<Bus> {
  const bus = await bench.bus();
  return bus.writer('reader').start();
}

/** A unit that writes and publishes the same text, and then does something else. */
function unit(bus: Bus, text: string, work: () => Promise<unknown> = async () => undefined): Promise<unknown> {
  return bus.holdfast.unitOfWork.run(HALF, async () => {
    await bus.process.write(`unit ${text}`);
    await bus.publish(text, { id: text });
    await work();
  });
}

/** Nothing is left of them in the register. */
async function isSettled(bus: Bus): Promise<void> {
  await eventually(
    () => bus.holdfast.outbox.stats(),
    ({ halfMessages }) => halfMessages === 0,
  );
}

/** Messages that are registered before their unit's commit and decided by it: the same on every transport. */
export const HALF_MESSAGE_FACTS: readonly TransportFact[] = [
  ...factsOf('half messages', {
    'have one effect in every subscription when their unit commits, and leave the register': async (bench) => {
      const bus = await bench.bus();
      await bus.writer('one').writer('two').start();
      await bus.holdfast.unitOfWork.run(HALF, async () => {
        for (const text of ['a', 'b', 'c']) await bus.publish(text);
        await quiet(100);
        assert.deepEqual(bus.seen, []);
      });
      await Promise.all(['d', 'e', 'f'].map((text) => unit(bus, text)));
      const effects = ['a', 'b', 'c', 'd', 'e', 'f'].flatMap((text) => [`one ${text}`, `two ${text}`]);
      assert.deepEqual(await bench.written(15), [...effects, 'unit d', 'unit e', 'unit f'].sort());
      await isSettled(bus);
      await quiet();
      assert.equal((await bench.system.written()).length, 15);
    },
    'are never seen when their unit is rolled back: by its work, at its COMMIT, or a part of it alone': async (bench) => {
      const bus = await reading(bench);
      await assert.rejects(
        unit(bus, 'never', () => Promise.reject(new Error('changed its mind'))),
        /changed its mind/,
      );
      await assert.rejects(unit(bus, 'refused', () => bus.process.spoil()));
      await unit(bus, 'kept', async () => {
        const part = () =>
          bus.holdfast.unitOfWork.run({ propagation: 'NESTED' }, () => unit(bus, 'part', () => Promise.reject(new Error('no'))));
        await assert.rejects(part, /no/);
      });
      assert.deepEqual(await bench.written(2), ['reader kept', 'unit kept']);
      await isSettled(bus);
      await quiet();
      assert.deepEqual(bus.seen, ['reader kept 1']);
    },
    'of a handler leave with its commit, and not when it fails': async (bench) => {
      const bus = await bench.bus();
      bus.on(
        'first',
        async ({ text }, { attempt }) => {
          await bus.holdfast.bus.publish(new Other(`${text} ${attempt}`));
          if (attempt === 1) throw new Error('not yet');
        },
        { idempotent: true, transactional: HALF, batchSize: 4 },
      );
      bus.on('second', ({ text }) => bus.process.write(`second ${text}`), { type: Other, idempotent: true });
      await bus.start();
      await bus.publish('a');
      assert.deepEqual(await bench.written(1), ['second a 2']);
      await isSettled(bus);
      await quiet();
      assert.deepEqual(await bench.system.written(), ['second a 2']);
    },
    'are refused at the call where they would not keep what was asked': async (bench) => {
      const bus = await reading(bench);
      const refused: PublishOptions[] = [{ key: 'k' }, { delay: 10 }, { at: new Date() }, { receipt: true }];
      for (const options of refused) {
        const publishing = bus.holdfast.unitOfWork.run(HALF, () => bus.publish('never', options));
        await assert.rejects(publishing, {
          code: options.receipt ? /HF_HALF_MESSAGE_OPTION|HF_CAPABILITY_UNSUPPORTED/ : 'HF_HALF_MESSAGE_OPTION',
        });
      }
      await quiet();
      assert.deepEqual(bus.seen, []);
    },
  }),
  ...factsOf(
    'half messages of a handler',
    {
      'leave beside its reply': async (bench) => {
        const bus = await bench.bus();
        bus.holdfast.on(
          Say,
          async ({ text }) => {
            await bus.publish(text);
            return { said: text };
          },
          { name: 'contract.say', transactional: HALF, idempotent: true },
        );
        await bus.writer('reader').start();
        const text = String.raw`"a" C:\temp`;
        assert.deepEqual(await bus.holdfast.bus.request(new Say(text), { id: 'asked' }), { said: text });
        assert.deepEqual(await bench.written(1), [`reader ${text}`]);
      },
    },
    ({ replies }) => replies,
  ),
  ...factsOf(
    'half messages of a process that sends nothing',
    {
      'are sent by another one': async (bench) => {
        await reading(bench);
        const silent = await bench.bus({ relay: false });
        await silent.start();
        await unit(silent, 'a');
        assert.deepEqual(await bench.written(2), ['reader a', 'unit a']);
        await isSettled(silent);
      },
    },
    ({ sharedSubscriptions }) => sharedSubscriptions,
  ),
];
