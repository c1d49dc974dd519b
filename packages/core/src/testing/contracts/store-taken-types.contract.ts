import { strict as assert } from 'node:assert';
import { factsOf, type StoreFact } from './store-fact.js';
import { declare, register, type StoreFixture, type StoreProcess, start } from './store-kit.js';

const MINUTE_MS = 60_000;

const BY = { by: 'contract', reason: 'the contract' };

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const opened: StoreProcess[] = [];
  return {
    node: async (service = 'contract'): Promise<StoreProcess> => {
      const process = await start(database, { service, poolSize: 4 });
      opened.push(process);
      return process;
    },
    /** What is handed over of what was left for a minute. */
    leftovers: async ({ store }: StoreProcess): Promise<readonly string[]> => {
      const found: string[] = [];
      await store.subscriptions.clearLeftovers(MINUTE_MS, async ({ name, types }) => void found.push(`${name}: ${types.join(', ')}`));
      return found;
    },
    /** What is left was left an hour earlier. */
    age: () => database.execute(`update holdfast_taken_type set left_at = left_at - interval '1 hour'`),
    silence: ({ nodeId }: StoreProcess) => database.execute(`delete from holdfast_taken_type where node_id = '${nodeId}'`),
    leave: ({ store, nodeId }: StoreProcess) => store.nodes.leave(nodeId),
    reader: (...types: string[]) => declare('contract.reader', { types }),
    end: async () => {
      await Promise.all(opened.splice(0).map((process) => process.close()));
      await database.drop();
    },
  };
}

/** Types that a subscription took, and that no process takes any more. */
export const TAKEN_TYPE_FACTS: readonly StoreFact[] = factsOf('types that are taken no more', scene, {
  'are handed over once, when no live process has taken them for long': async ({ node, leftovers, age, leave, reader }) => {
    const one = await node();
    await register(one, reader('a', 'b', 'c'));
    await leave(one);
    const two = await node();
    await register(two, reader('a'));
    assert.deepEqual(await leftovers(two), []);
    await age();
    assert.deepEqual(await leftovers(two), ['contract.reader: b, c']);
    assert.deepEqual(await leftovers(two), []);
  },
  'are none that a live process of another version takes, or took when it was only thought dead': async (scene) => {
    const { node, leftovers, age, leave, reader } = scene;
    const [one, two] = [await node(), await node()];
    await register(one, reader('a', 'b'));
    await register(two, reader('a'));
    assert.deepEqual(await leftovers(two), []);
    await leave(one);
    assert.deepEqual(await leftovers(two), []);
    await age();
    await one.store.nodes.heartbeat(one.nodeId);
    assert.deepEqual(await leftovers(two), []);
    await leave(one);
    assert.deepEqual(await leftovers(two), []);
  },
  'are none that a process takes which comes back in time, or does not say what it takes': async (scene) => {
    const { node, leftovers, age, leave, silence, reader } = scene;
    const one = await node();
    await register(one, reader('a', 'b'));
    await leave(one);
    const two = await node();
    await register(two, reader('a'));
    await leftovers(two);
    await age();
    const three = await node();
    await register(three, reader('a', 'b'));
    assert.deepEqual(await leftovers(two), []);
    await leave(three);
    await leftovers(two);
    await age();
    await silence(two);
    assert.deepEqual(await leftovers(two), []);
  },
  'are all of a subscription that is retired, of their own service only': async ({ node, leftovers, age, leave, reader }) => {
    const one = await node();
    await register(one, reader('a', 'b'), declare('contract.method', { isHandler: false, types: [] }));
    await leave(one);
    const [two, other] = [await node(), await node('elsewhere')];
    await two.store.subscriptions.setState('contract.reader', 'retired', BY);
    await register(two);
    await leftovers(two);
    await age();
    assert.deepEqual(await leftovers(other), []);
    assert.deepEqual(await leftovers(two), ['contract.reader: a, b']);
  },
  'are handed over again when they could not be dealt with, and nobody registers meanwhile': async (scene) => {
    const { node, leftovers, age, leave, reader } = scene;
    const one = await node();
    await register(one, reader('a', 'b'));
    await leave(one);
    const [two, three] = [await node(), await node()];
    await register(two, reader('a'));
    await leftovers(two);
    await age();
    const failing = two.store.subscriptions.clearLeftovers(MINUTE_MS, async () => {
      throw new Error('the broker is away');
    });
    await assert.rejects(failing, /the broker is away/);
    const order: string[] = [];
    let registered: Promise<unknown> = Promise.resolve();
    await two.store.subscriptions.clearLeftovers(MINUTE_MS, async ({ types }) => {
      registered = register(three, reader('a', 'b')).then(() => order.push('registered'));
      await new Promise((resolve) => setTimeout(resolve, 300));
      order.push(`unrouted ${types.join()}`);
    });
    await registered;
    assert.deepEqual(order, ['unrouted b', 'registered']);
    await leave(three);
    await leftovers(two);
    await age();
    assert.deepEqual(await leftovers(two), ['contract.reader: b']);
  },
});
