import { poolSizeOf } from './postgres-store.js';

it.each([
  [{}, 10],
  [{ poolSize: 20 }, 20],
  [{ extra: { max: 7 } }, 7],
  [{ poolSize: 20, extra: { max: 2 } }, 2],
  [{ poolSize: 20, extra: {} }, 20],
])('a DataSource with %j has a pool of %d, as pg is told by TypeORM', (options, size) => {
  expect(poolSizeOf({ options })).toBe(size);
});
