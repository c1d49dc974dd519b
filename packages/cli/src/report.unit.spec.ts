import { hfError } from '@holdfast/core';
import { report } from './report.js';

describe('report', () => {
  it('finds the words of an error that has none itself, as a connection tried on two addresses has', () => {
    const tried = [
      Object.assign(new Error('connect ECONNREFUSED ::1:1'), { code: 'ECONNREFUSED' }),
      new Error('connect ECONNREFUSED 127.0.0.1:1'),
    ];
    const error = Object.assign(new AggregateError(tried), { code: 'ECONNREFUSED' });
    expect(report(error)).toEqual({ text: 'connect ECONNREFUSED ::1:1; connect ECONNREFUSED 127.0.0.1:1.', code: 1 });
  });

  it('adds the code where the words do not have it', () => {
    expect(report(Object.assign(new Error('permission denied'), { code: '42501' })).text).toBe('permission denied (42501).');
    expect(report(hfError('HF_DEAD_LETTER_UNKNOWN', { id: 7 })).text).toMatch(
      /^There is no dead letter 7\. .* \(HF_DEAD_LETTER_UNKNOWN\)$/,
    );
  });

  it('tells a wrong call from a failure', () => {
    expect(report(hfError('HF_OPERATOR_FILTER', {})).code).toBe(2);
    expect(report(hfError('HF_TRANSPORT_NAME', { name: 'a b', reason: 'it has a blank in it' })).code).toBe(2);
    expect(report(hfError('HF_DEAD_LETTER_UNKNOWN', { id: 7 })).code).toBe(1);
    expect(report(undefined)).toEqual({ text: 'undefined.', code: 1 });
  });
});
