import { mayBeMissing, mayOwnBeMissing } from './started-broker.js';

describe('a broker that is not there', () => {
  it.each(['true', '1', 'TRUE', 'yes'])('is a failure with CI=%s', (ci) => {
    expect(mayBeMissing(ci)).toBe(false);
  });

  it.each([undefined, '', '0', 'false', 'False'])('is no failure with CI=%s', (ci) => {
    expect(mayBeMissing(ci)).toBe(true);
  });
});

describe('a broker of its own that a suite cannot start', () => {
  it('is a failure with CI=true where a broker was only found, and none where the environment names one', () => {
    expect(mayOwnBeMissing('true', {})).toBe(false);
    expect(mayOwnBeMissing('true', { isNamed: true })).toBe(true);
    expect(mayOwnBeMissing('false', {})).toBe(true);
  });
});
