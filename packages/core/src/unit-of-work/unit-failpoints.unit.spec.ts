import { armFailpoint, disarmFailpoints, type FailpointName } from '../testing/failpoints.js';
import { recordingEngine } from './recording-transactions.spec.js';

afterEach(disarmFailpoints);

describe('an error between the steps of a commit', () => {
  it.each<[FailpointName, string[]]>([
    ['unit:before-outbox', ['1 BEGIN', '1 ROLLBACK', 'rolled back']],
    ['unit:after-outbox', ['1 BEGIN', '1 OUTBOX m', '1 ROLLBACK', 'rolled back']],
    ['unit:before-commit', ['1 BEGIN', '1 OUTBOX m', '1 ROLLBACK', 'rolled back']],
    // It is committed: whatever fails now, nobody may be told that it was rolled back.
    ['unit:after-commit', ['1 BEGIN', '1 OUTBOX m', '1 COMMIT']],
  ])('%s', async (name, expected) => {
    const { engine, publish, transcript } = recordingEngine();
    armFailpoint(name, 'throw');
    const run = engine.run(async () => {
      publish('m');
      engine.afterRollback(() => void transcript.push('rolled back'));
    });
    await expect(run).rejects.toThrow(`failpoint ${name}`);
    expect(transcript).toEqual(expected);
  });
});
