import { hfError } from '../errors/catalogue.js';
import { recordingEngine } from './recording-transactions.spec.js';
import type { UnitOptions } from './unit-of-work.js';

const HALF: UnitOptions = { protocol: 'half-message' };

describe('a unit with half messages', () => {
  it('has them registered before COMMIT, and tells of its end', async () => {
    const { engine, publish, transcript } = recordingEngine();
    await engine.run(HALF, async () => {
      publish('a');
      await engine.run({ propagation: 'NESTED' }, async () => publish('kept'));
      await engine.run({ propagation: 'NESTED' }, () => Promise.reject(new Error('no'))).catch(() => {});
      engine.afterCommit(() => void transcript.push('hook'));
    });
    expect(transcript.filter((line) => !/SAVEPOINT|RELEASE| TO /.test(line))).toEqual([
      '1 BEGIN',
      '1 REGISTER a kept',
      '1 COMMIT',
      '- committed a kept',
      'hook',
    ]);
  });

  it('registers nothing when it publishes nothing, or is rolled back before', async () => {
    const { engine, publish, transcript } = recordingEngine();
    await engine.run(HALF, async () => {});
    const failing = engine.run(HALF, async () => {
      publish('m');
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(transcript).toEqual(['1 BEGIN', '1 COMMIT', '2 BEGIN', '2 ROLLBACK']);
  });

  it('has them dropped when COMMIT is refused', async () => {
    const { engine, publish, transactions, transcript } = recordingEngine();
    transactions.commitFailsWith.push(new Error('deferred constraint'));
    await expect(engine.run(HALF, async () => publish('m'))).rejects.toThrow('deferred');
    expect(transcript).toEqual(['1 BEGIN', '1 REGISTER m', '1 COMMIT', '1 ROLLBACK', '- rolled back m']);
  });

  it('says nothing of them when nobody knows how COMMIT ended', async () => {
    const { engine, publish, transactions, transcript } = recordingEngine();
    transactions.commitFailsWith.push(hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'default' }));
    await expect(engine.run(HALF, async () => publish('m'))).rejects.toMatchObject({ code: 'HF_UOW_COMMIT_UNKNOWN' });
    expect(transcript).toEqual(['1 BEGIN', '1 REGISTER m', '1 COMMIT']);
  });

  it('is run again as a whole, and registers again', async () => {
    const { engine, publish, transactions, transcript, time } = recordingEngine();
    transactions.commitFailsWith.push(new Error('deadlock'));
    const run = engine.run({ ...HALF, retries: 1 }, async () => publish('m'));
    await time.advance(1000);
    await run;
    expect(transcript.filter((line) => /REGISTER|- /.test(line))).toEqual([
      '1 REGISTER m',
      '- rolled back m',
      '2 REGISTER m',
      '- committed m',
    ]);
  });

  it('stands beside one with an outbox: the one inside REQUIRES_NEW ends first', async () => {
    const { engine, publish, transcript } = recordingEngine();
    await engine.run(async () => {
      publish('outer');
      await engine.run({ ...HALF, propagation: 'REQUIRES_NEW' }, async () => publish('inner'));
    });
    expect(transcript).toEqual(['1 BEGIN', '2 BEGIN', '2 REGISTER inner', '2 COMMIT', '- committed inner', '1 OUTBOX outer', '1 COMMIT']);
  });

  it('is no transaction of the user: there its methods cannot join', async () => {
    const { engine, transcript } = recordingEngine();
    const joined = engine.join({ isOpen: true } as never, () => engine.run(HALF, async () => {}));
    await expect(joined).rejects.toMatchObject({ code: 'HF_UOW_OPTIONS_DIFFER', details: { option: 'protocol' } });
    expect(transcript).toEqual(["user's let go"]);
  });
});

it('a protocol that is none is refused, with those there are', async () => {
  const { engine, transcript } = recordingEngine();
  const run = engine.run({ protocol: '2pc' as never }, async () => {});
  await expect(run).rejects.toMatchObject({ code: 'HF_UOW_PROTOCOL', message: expect.stringContaining('half-message') });
  expect(transcript).toEqual([]);
});
