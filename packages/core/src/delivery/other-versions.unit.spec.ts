import { waitForOthersMs } from './other-versions.js';

it.each([
  [-1000, 2000],
  [0, 2000],
  [100_000, 10_000],
  [86_400_000, 30_000],
])('a message of %p ms that only another version can handle is looked at again after %p ms', (ageMs, waitMs) => {
  expect(waitForOthersMs(ageMs)).toBe(waitMs);
});
