import { strict as assert } from 'node:assert';
import { SagaAborted } from '../../choreography/saga-aborted.js';
import type { HandlerPolicies } from '../../delivery/subscription-options.js';
import { eventually } from './assertions.js';
import { factsOf, type TransportFact } from './transport-fact.js';
import { type Bus, Happened, Other, quiet } from './transport-kit.js';

/** A handler that writes what it got, and so does what undoes it. */
function undoable(bus: Bus, name: string, also: Partial<HandlerPolicies<Happened>> & { type?: typeof Other } = {}): Bus {
  const undo = ({ text }: Happened) => bus.process.write(`no ${name} ${text}`);
  return bus.writer(name, { compensate: { undo }, ...also } as Partial<HandlerPolicies<Happened>>);
}

const abort = (bus: Bus, sagaId: string) => bus.holdfast.bus.publish(new SagaAborted('the contract'), { sagaId });

/** Sagas without a conductor. */
export const CHOREOGRAPHY_FACTS: readonly TransportFact[] = [
  ...factsOf('an aborted saga', {
    'is undone, the last part first': async (bench) => {
      const bus = await bench.bus();
      undoable(bus, 'first').on('next', ({ text }) => bus.holdfast.bus.publish(new Other(text)));
      undoable(bus, 'last', { type: Other });
      await bus.start();
      await bus.publish('a', { sagaId: 'a' });
      await bus.publish('b', { sagaId: 'b' });
      await bench.written(4);
      await abort(bus, 'a');
      await bench.written(6);
      await quiet();
      const written = await bench.system.written();
      assert.deepEqual(
        written.filter((text) => text.endsWith(' a')),
        ['first a', 'last a', 'no last a', 'no first a'],
      );
      assert.deepEqual(
        written.filter((text) => text.endsWith(' b')),
        ['first b', 'last b'],
      );
    },
    'is told to whoever listens, with its reason, and what comes for it later is given to those only that have nothing to undo': async (
      bench,
    ) => {
      const bus = await bench.bus();
      const reasons: string[] = [];
      bus.holdfast.on(SagaAborted, async ({ reason }, { sagaId }) => void reasons.push(`${sagaId} ${reason}`), {
        name: 'contract.listener',
        transactional: true,
      });
      await undoable(bus, 'undoable').writer('plain').start();
      await abort(bus, 'a');
      const wrote = async (text: string) => (await bench.system.written()).includes(text);
      const isDropped = async (text: string): Promise<boolean> => {
        await bus.publish(text, { sagaId: 'a' });
        await eventually(
          () => wrote(`plain ${text}`),
          (has) => has,
        );
        await quiet();
        return !(await wrote(`undoable ${text}`));
      };
      // Until the abort has arrived, a message is not late: it is handled, and then undone.
      let early = 0;
      while (!(await isDropped(`early ${early}`))) early += 1;
      assert.equal(await isDropped('late'), true);
      const handled = Array.from({ length: early }, (_, n) => [`undoable early ${n}`, `no undoable early ${n}`]).flat();
      const written = await bench.written(early + 2 + handled.length);
      assert.deepEqual(
        written.filter((text) => text.includes('undoable')),
        handled.sort(),
      );
      assert.deepEqual(reasons.slice(0, 1), ['a the contract']);
    },
    'has each of its parts undone once when it is aborted several times': async (bench) => {
      const bus = await bench.bus();
      await undoable(bus, 'part').start();
      await bus.publish('a', { sagaId: 'a' });
      await bench.written(1);
      for (let n = 0; n < 3; n += 1) await abort(bus, 'a');
      await bench.written(2);
      await quiet();
      assert.deepEqual(await bench.system.written(), ['part a', 'no part a']);
    },
  }),
  ...factsOf(
    'an aborted saga of several services',
    {
      'is undone in each of them': async (bench) => {
        const publisher = await bench.bus({ service: 'publisher' });
        await publisher.start();
        for (const service of ['hotels', 'flights']) await undoable(await bench.bus({ service }), service).start();
        await publisher.publish('a', { sagaId: 'a' });
        await bench.written(2);
        await abort(publisher, 'a');
        assert.deepEqual(await bench.written(4), ['flights a', 'hotels a', 'no flights a', 'no hotels a']);
      },
    },
    ({ sharedSubscriptions }) => sharedSubscriptions,
  ),
];
