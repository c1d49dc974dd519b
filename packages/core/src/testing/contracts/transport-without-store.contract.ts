import { strict as assert } from 'node:assert';
import type { Delivery } from '../../delivery/delivery.js';
import type { HandlerPolicies } from '../../delivery/subscription-options.js';
import { Holdfast } from '../../holdfast.js';
import { Command, Message } from '../../message/message.js';
import { subscribe } from '../../monitoring/events.js';
import { type Logger, silentLogger } from '../../monitoring/logger.js';
import type { HoldfastOptions } from '../../options.js';
import type { TransportCapabilities } from '../../transport/transport.port.js';
import { assertFields, assertIncludes, eventually } from './assertions.js';
import { factsOf, type TransportFact } from './transport-fact.js';
import { type Bench, type Bus, gate, Happened, inProduction, Other, quiet, Strict } from './transport-kit.js';

/** Asks for something that nobody here does. */
@Message('contract.do')
class Do extends Command<void> {}

const PLAIN = { transactional: false } as const;
const UNSUPPORTED = { code: 'HF_CAPABILITY_UNSUPPORTED', message: /without a store/ };
const needsNone = ({ withoutStore }: TransportCapabilities) => withoutStore;

/** A bus without a store: publishing waits for the transport, retries are in the process, dead letters are where the transport keeps them. */
export const WITHOUT_STORE_FACTS: readonly TransportFact[] = [
  ...factsOf(
    'without a store, a message',
    {
      'reaches every subscription of its type, as it was published': async (bench) => {
        const bus = await busOf(bench);
        bus.on('one', () => undefined, PLAIN).on('two', () => undefined, PLAIN);
        await bus.start();
        await bus.publish('a', { id: 'order/1', key: 'k', headers: { tenant: 't' }, correlationId: 'talk' });
        assert.deepEqual([...(await seenBy(bus, 2))].sort(), ['one a 1', 'two a 1']);
        for (const delivery of bus.deliveries)
          assertFields(delivery, { id: 'order/1', source: 'contract', key: 'k', correlationId: 'talk', isRedelivery: false });
        assert.deepEqual({ ...bus.deliveries[0]?.headers }, { tenant: 't' });
      },
      'is tried again in the process when its handler fails; given up, it is a dead letter, and the next one is handled': async (bench) => {
        const ends = endsOf('delivery:dead-lettered');
        const bus = await busOf(bench);
        const fails = ({ text }: Happened) => (text === 'a' ? Promise.reject(new Error('always')) : undefined);
        bus.on('bad', fails, { ...PLAIN, concurrency: 1 }).on('good', () => undefined, PLAIN);
        await bus.start();
        // Of one key, so that they come one after the other.
        const { id } = await bus.publish('a', { key: 'k' });
        await bus.publish('b', { key: 'k' });
        await seenBy(bus, 6);
        await quiet();
        const seen = (name: string) => bus.seen.filter((each) => each.startsWith(name));
        assert.deepEqual(seen('bad'), ['bad a 1', 'bad a 2', 'bad a 3', 'bad b 1']);
        assert.deepEqual([...seen('good')].sort(), ['good a 1', 'good b 1']);
        assert.deepEqual(ends(id), ['contract.bad after 3: Error']);
      },
      'is a dead letter without an attempt when it cannot be read, and the next one is handled': async (bench) => {
        const ends = endsOf('message:invalid');
        const bus = await busOf(bench);
        bus.on('strict', () => undefined, { ...PLAIN, type: Strict, concurrency: 1 });
        await bus.start();
        const { id } = await bus.publish('bad', { key: 'k' });
        await bus.publish('good', { key: 'k' });
        assert.deepEqual(await seenBy(bus, 1), ['strict good 1']);
        assert.deepEqual(ends(id), ['contract.strict after 0: HF_MESSAGE_INVALID']);
      },
      'of a handler is one of its own, with the same conversation': async (bench) => {
        const bus = await busOf(bench);
        bus.on('reader', ({ text }) => (text === 'first' ? bus.publish('answer') : undefined), PLAIN);
        await bus.start();
        const { id } = await bus.publish('first');
        await seenBy(bus, 2);
        assertFields(bus.deliveries[1], { causationId: id, correlationId: id });
      },
      'that nobody takes is refused where it is sent when it is a command, and is no failure when it is an event': async (bench) => {
        const bus = await busOf(bench);
        await bus.start();
        await assert.rejects(bus.holdfast.bus.send(new Do()), { code: 'HF_COMMAND_UNROUTABLE' });
        await bus.publish('a');
      },
      'is with no more than its concurrency in work, those that wait for their next attempt among them': async (bench) => {
        const bus = await busOf(bench);
        const retry = { attempts: 2, backoff: { delay: 300, jitter: 'none' } } as const;
        const open = new Set<string>();
        const counts: number[] = [];
        const fails = ({ text }: { readonly text: string }, { attempt }: Delivery) => {
          if (attempt === 1) open.add(text);
          counts.push(open.size);
          if (attempt === 2) open.delete(text);
          throw new Error('always');
        };
        bus.on('bad', fails, { ...PLAIN, concurrency: 3, retry });
        await bus.start();
        for (let i = 0; i < 10; i += 1) await bus.publish(`${i}`);
        await seenBy(bus, 20);
        assert.equal(Math.max(...counts), 3);
      },
      'is finished by a stop with what its handler publishes, or given back when that does not end in time': async (bench) => {
        const ends = endsOf('delivery:dead-lettered');
        const bus = await busOf(bench);
        const [entered, waiting] = [gate(), gate()];
        const handle = async ({ text }: { readonly text: string }) => {
          if (text === 'stuck') {
            waiting.open();
            throw new Error('not yet');
          }
          if (text !== 'slow') return;
          entered.open();
          await quiet(200);
          await bus.publish('of a handler');
        };
        bus.on('reader', handle, { ...PLAIN, retry: { attempts: 2, backoff: { delay: '1m', jitter: 'none' } } });
        await bus.start();
        const slow = await bus.publish('slow');
        const stuck = await bus.publish('stuck');
        await Promise.all([entered.opened, waiting.opened]);
        await bus.holdfast.stop({ timeout: 8000 });
        assert.deepEqual([...ends(slow.id), ...ends(stuck.id)], []);
        if (!bench.capabilities.persistent) return;
        const next = await busOf(bench);
        await next.on('reader', () => undefined, PLAIN).start();
        assert.deepEqual([...(await seenBy(next, 2))].sort(), ['reader of a handler 1', 'reader stuck 1']);
      },
      'of a handler in hand at a stop is sent also over a transport that has nothing in hand itself': async (bench) => {
        const process = await bench.system.join();
        const transports = { default: process.transport(), events: process.transport() };
        const holdfast = new Holdfast({ service: 'contract', transports, allowInMemory: true }, { logger: silentLogger });
        const entered = gate();
        const outcomes: unknown[] = [];
        const handle = async () => {
          entered.open();
          await quiet(500);
          outcomes.push(await holdfast.bus.publish(new Other('b'), { id: 'b', destination: 'events:contract.other' }));
        };
        await holdfast.on(Happened, handle, { name: 'contract.reader' }).start();
        await holdfast.bus.publish(new Happened('a'));
        await entered.opened;
        await holdfast.stop({ timeout: '20s' });
        await process.close();
        assert.deepEqual(outcomes, [{ id: 'b', source: 'contract' }]);
      },
      'is sent after a drain too, for whoever is still being answered, and refused after a stop': async (bench) => {
        const bus = await busOf(bench);
        await bus.on('reader', () => undefined, PLAIN).start();
        await bus.holdfast.drain();
        await bus.publish('a');
        await bus.holdfast.stop();
        await assert.rejects(bus.publish('b'), { code: 'HF_STOPPING' });
        assert.deepEqual(bus.seen, []);
        if (!bench.capabilities.persistent) return;
        const next = await busOf(bench);
        await next.on('reader', () => undefined, PLAIN).start();
        assert.deepEqual(await seenBy(next, 1), ['reader a 1']);
      },
    },
    needsNone,
  ),
  ...factsOf(
    'without a store',
    {
      'what needs one is refused at the start, all of it together': async (bench) => {
        const bus = await busOf(bench, { retention: '1d', relay: false, outsideTransaction: 'throw', migrate: true });
        const policies: readonly object[] = [
          { name: 'contract.a', transactional: true, batchSize: 5 },
          { name: 'contract.b', idempotent: true },
          { name: 'contract.c', ordering: 'key', onDeadLetter: 'block' },
          { name: 'contract.d', formerly: 'contract.before' },
        ];
        for (const policy of policies) bus.holdfast.on(Happened, () => undefined, policy as HandlerPolicies<Happened>);
        const error = await bus.start().then(
          () => undefined,
          (thrown: { readonly code: string; readonly message: string }) => thrown,
        );
        assert.equal(error?.code, 'HF_CONFIG_INVALID');
        const handlers = ['"contract.a": @Transactional', '"contract.b": @Idempotent', `"contract.c": ordering: 'key' needs a store`];
        const options = ['"contract.d": formerly', 'retention is 1d', 'relay is false', "outsideTransaction is 'throw'", 'migrate is true'];
        for (const problem of [...handlers, ...options]) assertIncludes(error.message, problem);
      },
      'what needs one is refused where it is called': async (bench) => {
        const bus = await busOf(bench);
        await bus.on('reader', () => undefined, PLAIN).start();
        const { deadLetters, subscriptions, outbox, unitOfWork } = bus.holdfast;
        await assert.rejects(bus.publish('a', { delay: 100 }), UNSUPPORTED);
        await assert.rejects(bus.publish('a', { at: new Date() }), UNSUPPORTED);
        for (const call of [() => deadLetters.list(), () => subscriptions.list(), () => outbox.stats(), () => unitOfWork.run({}, quiet)])
          assert.throws(call, UNSUPPORTED);
        await quiet(200);
        assert.deepEqual(bus.seen, []);
      },
      'the line of the start says what that means': async (bench) => {
        const lines: (readonly [string, object | undefined])[] = [];
        const quietly = () => undefined;
        const logger: Logger = { info: (message, fields) => void lines.push([message, fields]), warn: quietly, error: quietly };
        const process = await bench.system.join();
        const holdfast = new Holdfast({ service: 'contract', transport: process.transport(), allowInMemory: true }, { logger });
        await holdfast.start();
        await holdfast.stop();
        await process.close();
        const [taker, keeper] = bench.capabilities.persistent ? ['broker', "the broker's"] : ['transport', 'logged'];
        const store = `none: publishing waits for the ${taker}, retries stay in this process, dead letters are ${keeper}`;
        assertFields(lines[0], { 0: 'started', 1: { store } });
      },
      'production asks for a transport that survives, or for consent': (bench) =>
        inProduction(async () => {
          const bus = await busOf(bench, { allowInMemory: undefined });
          if (bench.capabilities.persistent) await bus.start();
          else await assert.rejects(bus.start(), /allowInMemory: true/);
          await (await busOf(bench)).start();
        }),
    },
    needsNone,
  ),
];

function busOf(bench: Bench, options: Partial<HoldfastOptions> = {}): Promise<Bus> {
  return bench.bus({ store: undefined, ...options });
}

/** What the handlers of a bus saw, as soon as there is so much. */
function seenBy(bus: Bus, count: number): Promise<readonly string[]> {
  return eventually(
    () => bus.seen,
    ({ length }) => length >= count,
  );
}

/** What is told of the end of a message, by its id, from now on. */
function endsOf(name: 'delivery:dead-lettered' | 'message:invalid'): (id: string) => readonly string[] {
  const heard: (readonly [id: string | undefined, text: string])[] = [];
  const stop = subscribe(name, ({ id, subscription, attempt, code }) => heard.push([id, `${subscription} after ${attempt}: ${code}`]));
  return (wanted) => {
    stop();
    return heard.filter(([id]) => id === wanted).map(([, text]) => text);
  };
}
