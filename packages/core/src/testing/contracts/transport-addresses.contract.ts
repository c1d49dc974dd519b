import { strict as assert } from 'node:assert';
import { isHoldfastError } from '../../errors/holdfast-error.js';
import { Message } from '../../message/message.js';
import { eventually } from './assertions.js';
import { factsOf, type TransportFact } from './transport-fact.js';
import { Happened, quiet } from './transport-kit.js';

/** The type of `Happened`, at an address. */
@Message('contract.happened', { destination: 'contract-address' })
class HappenedThere {
  constructor(readonly text: string) {}
}

/** Something else at the same address. */
@Message('contract.other', { destination: 'contract-address' })
class OtherThere {
  constructor(readonly text: string) {}
}

/** Where a message goes that has an address beside its type. */
export const ADDRESS_FACTS: readonly TransportFact[] = [
  ...factsOf(
    'a message with an address',
    {
      'is handled by the subscriptions of its type there, which get nothing else that is sent there, and by no other': async (bench) => {
        const bus = await bench.bus();
        bus.on('there', () => undefined, { type: HappenedThere }).on('everywhere', () => undefined);
        await bus.start();
        const { bus: outlet } = bus.holdfast;
        await outlet.publish(new OtherThere('another type'));
        await outlet.publish(new HappenedThere('a'));
        await outlet.publish(new HappenedThere('by its type'), { destination: 'contract.happened' });
        await outlet.publish(new Happened('b'), { destination: 'contract-address' });
        await outlet.publish(new Happened('elsewhere'), { destination: 'contract-elsewhere' });
        await eventually(
          async () => bus.seen,
          ({ length }) => length >= 3,
        );
        await quiet();
        assert.deepEqual([...bus.seen].sort(), ['everywhere by its type 1', 'there a 1', 'there b 1']);
        assert.deepEqual((await bus.holdfast.deadLetters.list()).items, []);
      },
    },
    ({ addresses }) => addresses === true,
  ),
  ...factsOf(
    'a message with an address',
    {
      'is refused at the call, and a subscription to it at the start': async (bench) => {
        const isRefused = (error: unknown) => isHoldfastError(error, 'HF_CAPABILITY_UNSUPPORTED');
        const bus = await bench.bus();
        await bus.start();
        await assert.rejects(bus.holdfast.bus.publish(new HappenedThere('a')), isRefused);
        await bus.holdfast.bus.publish(new HappenedThere('a'), { destination: 'contract.happened' });
        const other = await bench.bus();
        other.on('there', () => undefined, { type: HappenedThere });
        await assert.rejects(other.start(), /the destination contract-address \(messages go to the subscriptions of their type\)/);
      },
    },
    ({ addresses }) => addresses !== true,
  ),
];
