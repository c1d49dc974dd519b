import { hfError } from '../errors/catalogue.js';
import { subscribe } from '../monitoring/events.js';
import { recordingEngine } from './recording-transactions.spec.js';

const never = new Promise<never>(() => {});
const codeOf = (error: { code?: string; message: string }): string => error.code ?? error.message;

describe('timeout', () => {
  it('rolls back and tells, whatever the work is waiting for', async () => {
    const { engine, statement, transcript, time } = recordingEngine();
    const run = engine
      .run({ timeout: '2s' }, async () => {
        await statement('one');
        engine.afterRollback((error) => void transcript.push(`after rollback: ${codeOf(error as Error)}`));
        await never;
      })
      .catch((error: unknown) => transcript.push(codeOf(error as Error)));
    await time.advance('1s');
    expect(transcript).toEqual(['1 BEGIN', '1 one']);
    await time.advance('1s');
    await run;
    expect(transcript).toEqual(['1 BEGIN', '1 one', '1 ABORT', 'after rollback: HF_UOW_TIMEOUT', 'HF_UOW_TIMEOUT']);
  });

  it('is 30 seconds unless told otherwise', async () => {
    const { engine, time } = recordingEngine();
    const run = engine.run(() => never);
    const outcome = Promise.race([run.catch(codeOf), time.advance('29999ms').then(() => 'runs')]);
    expect(await outcome).toBe('runs');
    await Promise.all([time.advance('1ms'), expect(run).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT', details: { timeoutMs: 30_000 } })]);
  });

  it('is told to later statements, publishes and parts of the work', async () => {
    const { engine, statement, publish, transcript, time } = recordingEngine();
    const told: string[] = [];
    let late: Promise<void> | undefined;
    const run = engine.run({ timeout: '1s' }, () => {
      late = (async () => {
        await time.sleep(2000);
        told.push(await statement('late').then(() => 'ran', codeOf));
        told.push(await engine.run({ propagation: 'NESTED' }, async () => {}).then(() => 'ran', codeOf));
        try {
          publish('late');
        } catch (error) {
          told.push(codeOf(error as Error));
        }
      })();
      return late;
    });
    await Promise.all([time.advance('3s'), expect(run).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' })]);
    await late;
    expect(told).toEqual(['HF_UOW_TIMEOUT', 'HF_UOW_TIMEOUT', 'HF_UOW_TIMEOUT']);
    expect(transcript).toEqual(['1 BEGIN', '1 ABORT']);
  });

  it('ends work that swallows it: nothing is committed', async () => {
    const { engine, statement, publish, transcript, time, written } = recordingEngine();
    const run = engine.run({ timeout: '1s' }, async () => {
      publish('m');
      engine.afterRollback((error) => void transcript.push(`after rollback: ${codeOf(error as Error)}`));
      await time.sleep(1500);
      await statement('swallowed').catch(() => {});
    });
    await Promise.all([time.advance('3s'), expect(run).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' })]);
    expect(transcript).toEqual(['1 BEGIN', '1 ABORT', 'after rollback: HF_UOW_TIMEOUT']);
    expect(written).toEqual([]);
  });

  it('is over with the unit', async () => {
    const { engine, transcript, time, pendingTimers } = recordingEngine();
    await engine.run({ timeout: '1s' }, () => engine.run({ timeout: '1s' }, async () => {}));
    await engine.run(() => Promise.reject(new Error('no'))).catch(() => {});
    expect(pendingTimers()).toBe(0);
    await time.advance('1m');
    expect(transcript).toEqual(['1 BEGIN', '1 COMMIT', '2 BEGIN', '2 ROLLBACK']);
  });

  it('gives up waiting for a connection; one that comes too late is given back', async () => {
    const { engine, transactions, transcript, time } = recordingEngine();
    let free = (): void => {};
    transactions.free = new Promise((resolve) => {
      free = resolve;
    });
    const run = engine.run({ timeout: '1s' }, async () => void transcript.push('never'));
    await Promise.all([time.advance('1s'), expect(run).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' })]);
    free();
    await time.advance('1s');
    expect(transcript).toEqual(['1 BEGIN', '1 ROLLBACK']);
  });

  it('of a joined method ends the unit, when it is the earlier one', async () => {
    const { engine, transcript, time } = recordingEngine();
    const run = engine.run({ timeout: '1m' }, () => engine.run({ timeout: '1s' }, () => never));
    await Promise.all([time.advance('1s'), expect(run).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT', details: { timeoutMs: 1000 } })]);
    expect(transcript).toEqual(['1 BEGIN', '1 ABORT']);
  });

  it('of a joined method is over with the method', async () => {
    const { engine, transcript, time } = recordingEngine();
    const run = engine.run({ timeout: '1m' }, async () => {
      await engine.run({ timeout: '1s' }, async () => {});
      await time.sleep(5000);
    });
    await Promise.all([time.advance('10s'), run]);
    expect(transcript).toEqual(['1 BEGIN', '1 COMMIT']);
  });

  it('while COMMIT is on its way breaks the connection and lets COMMIT tell the outcome', async () => {
    const { engine, transactions, transcript, time } = recordingEngine();
    const answer = transactions.holdCommit();
    const run = engine.run({ timeout: '1s' }, async () => {
      engine.afterCommit(() => void transcript.push('never'));
      engine.afterRollback(() => void transcript.push('never'));
    });
    await time.advance('1s');
    expect(transcript).toEqual(['1 BEGIN', '1 COMMIT', '1 ABORT']);
    answer(hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'default' }));
    await expect(run).rejects.toMatchObject({ code: 'HF_UOW_COMMIT_UNKNOWN' });
  });

  it('is the time-out of the first hook that hangs before COMMIT too', async () => {
    const { engine, transcript, time } = recordingEngine();
    const run = engine.run({ timeout: '1s' }, async () => engine.beforeCommit(() => never));
    await Promise.all([time.advance('1s'), expect(run).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' })]);
    expect(transcript).toEqual(['1 BEGIN', '1 ABORT']);
  });
});

describe('a hook after the end that never ends', () => {
  const told: unknown[] = [];
  const stop = subscribe('hook:failed', ({ hook, error }) => told.push([hook, codeOf(error as Error)]));
  beforeEach(() => told.splice(0));
  afterAll(stop);

  it('does not keep the time-out of its unit from being told', async () => {
    const { engine, time, transcript } = recordingEngine();
    const run = engine.run({ timeout: 100 }, async () => {
      engine.afterRollback(() => never);
      engine.afterRollback(() => void transcript.push('next'));
      await never;
    });
    await Promise.all([time.advance(100), expect(run).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' })]);
    expect(transcript).toEqual(['1 BEGIN', '1 ABORT']);
    await time.advance('30s');
    expect({ transcript, told }).toEqual({
      transcript: ['1 BEGIN', '1 ABORT', 'next'],
      told: [['afterRollback', 'HF_UOW_HOOK_TIMEOUT']],
    });
  });

  it.each([
    ['afterCommit', 'committed'],
    ['afterRollback', 'no'],
  ] as const)('of %s is waited for half a minute, and the next one runs', async (name, outcome) => {
    const { engine, time, transcript, pendingTimers } = recordingEngine();
    const run = engine.run(async () => {
      engine[name](() => never);
      engine[name](() => void transcript.push('next'));
      if (name === 'afterRollback') throw new Error('no');
      return 'committed';
    });
    const ended = run.catch(codeOf).then((end) => transcript.push(end));
    await time.advance(29_999);
    expect(transcript).toHaveLength(2);
    await time.advance(1);
    await ended;
    expect({ last: transcript.slice(2), told, timers: pendingTimers() }).toEqual({
      last: ['next', outcome],
      told: [[name, 'HF_UOW_HOOK_TIMEOUT']],
      timers: 0,
    });
  });
});

describe('retries', () => {
  const deadlock = () => new Error('deadlock');

  it('run the whole work again in a fresh transaction, without the messages of the run that failed', async () => {
    const { engine, publish, transcript, time } = recordingEngine();
    let runs = 0;
    const run = engine.run({ retries: 2 }, async () => {
      runs += 1;
      publish(`run${runs}`);
      engine.afterRollback(() => void transcript.push(`undo ${runs}`));
      if (runs < 3) throw deadlock();
      return runs;
    });
    await time.advance('5s');
    expect(await run).toBe(3);
    expect(transcript).toEqual([
      '1 BEGIN',
      '1 ROLLBACK',
      'undo 1',
      '2 BEGIN',
      '2 ROLLBACK',
      'undo 2',
      '3 BEGIN',
      '3 OUTBOX run3',
      '3 COMMIT',
    ]);
  });

  it('include a COMMIT that was refused', async () => {
    const { engine, transactions, transcript, time } = recordingEngine();
    transactions.commitFailsWith.push(deadlock());
    const run = engine.run({ retries: 1 }, async () => {});
    await time.advance('5s');
    await run;
    expect(transcript).toEqual(['1 BEGIN', '1 COMMIT', '1 ROLLBACK', '2 BEGIN', '2 COMMIT']);
  });

  it.each([
    ['none are left', { retries: 1 }, deadlock, 2],
    ['none were asked for', {}, deadlock, 1],
    ['it is another error', { retries: 5 }, () => new Error('other'), 1],
    ['the outcome is unknown', { retries: 5 }, () => hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'x' }, { cause: deadlock() }), 1],
  ])('end when %s', async (_, options, error, runs) => {
    const { engine, time } = recordingEngine();
    const work = jest.fn(() => Promise.reject(error()));
    const run = engine.run(options, work);
    await Promise.all([time.advance('5s'), expect(run).rejects.toThrow(error().message)]);
    expect(work).toHaveBeenCalledTimes(runs);
  });

  it('end with the time-out, which is for all runs together', async () => {
    const { engine, time, transcript } = recordingEngine();
    const run = engine.run({ retries: 1000, timeout: '1s' }, async () => {
      await time.sleep(400);
      throw deadlock();
    });
    await Promise.all([time.advance('5s'), expect(run).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT', details: { timeoutMs: 1000 } })]);
    expect(transcript.filter((line) => line.endsWith('BEGIN'))).toHaveLength(3);
  });
});
