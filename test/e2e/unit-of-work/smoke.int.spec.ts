import { Account } from './entities.js';
import { openUnits, type Units } from './support.js';
let units: Units;
beforeAll(async () => { units = await openUnits(); });
afterAll(() => units.close());
test('smoke', async () => {
  const repo = units.dataSource.getRepository(Account);
  await units.engine.run(async () => { await repo.save({ id: 'a' }); units.publish('m1'); await units.engine.run({propagation:'NESTED'}, async () => { await repo.save({id:'n'}); units.publish('m2'); throw new Error('x'); }).catch(() => {}); });
  await units.engine.run(async () => { await repo.save({ id: 'b' }); units.publish('m3'); throw new Error('no'); }).catch(() => {});
  expect([await units.accounts(), await units.messages(), units.busy()]).toEqual([['a'], ['m1'], { out: 0, waiting: 0 }]);
});
