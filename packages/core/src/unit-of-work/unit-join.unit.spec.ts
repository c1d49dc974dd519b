import { recordingEngine } from './recording-transactions.spec.js';

const handle = { isOpen: true } as never;

describe('join', () => {
  it('writes the messages when the work ends, and neither commits nor rolls back', async () => {
    const { engine, statement, publish, transcript } = recordingEngine();
    const result = await engine.join(handle, async () => {
      await statement('work');
      publish('m');
      engine.beforeCommit(() => statement('hook'));
      return 'result';
    });
    expect(result).toBe('result');
    expect(transcript).toEqual(["user's work", "user's hook", "user's OUTBOX m", "user's let go"]);
  });

  it('drops the messages of work that failed', async () => {
    const { engine, publish, transcript } = recordingEngine();
    const run = engine.join(handle, async () => {
      publish('m');
      throw new Error('no');
    });
    await expect(run).rejects.toThrow('no');
    expect(transcript).toEqual(["user's let go"]);
  });

  it('is a unit: methods join it and nest in it', async () => {
    const { engine, statement, publish, transcript } = recordingEngine();
    await engine.join(handle, async () => {
      await engine.run(() => statement('joined'));
      const part = engine.run({ propagation: 'NESTED' }, async () => {
        publish('dropped');
        throw new Error('no');
      });
      await part.catch(() => {});
      await engine.run({ propagation: 'MANDATORY' }, async () => publish('m'));
    });
    expect(transcript).toEqual(["user's joined", "user's SAVEPOINT s1", "user's ROLLBACK TO s1", "user's OUTBOX m", "user's let go"]);
  });

  it.each(['afterCommit', 'afterRollback'] as const)('%s is refused: only the user knows', async (name) => {
    const { engine } = recordingEngine();
    const run = engine.join(handle, async () => engine[name](() => {}));
    await expect(run).rejects.toMatchObject({ code: 'HF_UOW_NOT_OWNED', details: { call: `${name}()` } });
  });

  it.each([
    ['ended', async () => {}],
    ['failed', () => Promise.reject(new Error('no'))],
  ])('ends the scope with the work that has %s', async (_, end) => {
    const { engine, statement, transcript } = recordingEngine();
    let late: Promise<unknown> | undefined;
    const joined = engine.join(handle, async () => {
      late = new Promise((resolve) => setTimeout(resolve, 5)).then(() => statement('late'));
      await end();
    });
    await joined.catch(() => {});
    await expect(late).rejects.toMatchObject({ code: 'HF_UOW_ENDED' });
    expect(transcript).toEqual(["user's let go"]);
  });

  it('refuses a stream, and writes nothing then', async () => {
    const { engine, publish, transcript } = recordingEngine();
    const run = engine.join(handle, async () => {
      publish('m');
      return { subscribe: () => {} };
    });
    await expect(run).rejects.toMatchObject({ code: 'HF_UOW_STREAM_RETURNED' });
    expect(transcript).toEqual(["user's let go"]);
  });

  it('refuses when a joined method failed', async () => {
    const { engine, transcript } = recordingEngine();
    const run = engine.join(handle, () => engine.run(() => Promise.reject(new Error('half'))).catch(() => {}));
    await expect(run).rejects.toMatchObject({ code: 'HF_UOW_ROLLBACK_ONLY' });
    expect(transcript).toEqual(["user's let go"]);
  });

  it('refuses what is no open transaction', async () => {
    const { engine } = recordingEngine();
    await expect(engine.join({} as never, async () => {})).rejects.toMatchObject({ code: 'HF_UOW_JOIN_HANDLE' });
  });
});
