import { mayBeMissing } from './started-broker.js';

describe('a broker that is not there', () => {
  it.each(['true', '1', 'TRUE', 'yes'])('is a failure with CI=%s', (ci) => {
    expect(mayBeMissing(ci)).toBe(false);
  });

  it.each([undefined, '', '0', 'false', 'False'])('is no failure with CI=%s', (ci) => {
    expect(mayBeMissing(ci)).toBe(true);
  });
});
