import { recordingEngine } from './recording-transactions.spec.js';

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};
const codeOf = (error: { code?: string; message: string }): string => error.code ?? error.message;

describe('siblings under Promise.all', () => {
  it('take turns: savepoints never interleave, and statements of the part around wait', async () => {
    const { engine, statement, transcript } = recordingEngine();
    const part = (name: string, error?: Error) =>
      engine.run({ propagation: 'NESTED' }, async () => {
        await statement(`${name} 1`);
        await turns(1);
        await statement(`${name} 2`);
        if (error) throw error;
      });
    await engine.run(() => Promise.all([part('a'), part('b', new Error('no')).catch(() => {}), statement('plain'), part('c')]));
    expect(transcript).toEqual([
      '1 BEGIN',
      ...['1 SAVEPOINT s1', '1 a 1', '1 a 2', '1 RELEASE s1'],
      ...['1 SAVEPOINT s2', '1 b 1', '1 b 2', '1 ROLLBACK TO s2'],
      '1 plain',
      ...['1 SAVEPOINT s3', '1 c 1', '1 c 2', '1 RELEASE s3'],
      '1 COMMIT',
    ]);
  });

  it('may nest further while others wait', async () => {
    const { engine, statement, transcript } = recordingEngine();
    const nested = (work: () => Promise<unknown>) => engine.run({ propagation: 'NESTED' }, work);
    await engine.run(() =>
      Promise.all([nested(() => Promise.all([nested(() => statement('deep')), statement('beside')])), nested(() => statement('b'))]),
    );
    expect(transcript).toEqual([
      '1 BEGIN',
      ...['1 SAVEPOINT s1', '1 SAVEPOINT s2', '1 deep', '1 RELEASE s2', '1 beside', '1 RELEASE s1'],
      ...['1 SAVEPOINT s3', '1 b', '1 RELEASE s3'],
      '1 COMMIT',
    ]);
  });
});

describe('a part that the database does not keep', () => {
  const aborted = new Error('current transaction is aborted');

  it('is undone with its messages and hooks, and the unit goes on', async () => {
    const { engine, transactions, statement, publish, transcript } = recordingEngine();
    transactions.releaseFailsWith.push(aborted);
    const told: unknown[] = [];
    await engine.run(async () => {
      const part = engine.run({ propagation: 'NESTED' }, async () => {
        engine.afterCommit(() => void told.push('committed'));
        engine.afterRollback((error) => void told.push(error));
        await statement('swallowed');
        publish('gone');
      });
      told.push(await part.catch((error: unknown) => error));
      await statement('after');
      publish('kept');
    });
    expect(transcript).toEqual([
      '1 BEGIN',
      ...['1 SAVEPOINT s1', '1 swallowed', '1 RELEASE s1', '1 ROLLBACK TO s1'],
      ...['1 after', '1 OUTBOX kept', '1 COMMIT'],
    ]);
    const refusal = expect.objectContaining({ code: 'HF_UOW_ROLLBACK_ONLY', cause: aborted });
    expect(told).toEqual([refusal, refusal]);
  });

  it('is undone the same behind a savepoint that was there', async () => {
    const { engine, transactions, statement, transcript } = recordingEngine();
    transactions.releaseFailsWith.push(aborted);
    await engine.runFramework({}, async (transaction) => {
      const part = engine.runBehind(await transaction.savepoint(), () => statement('swallowed'));
      await expect(part).rejects.toMatchObject({ code: 'HF_UOW_ROLLBACK_ONLY', cause: aborted });
      await statement('after');
    });
    expect(transcript.slice(2)).toEqual(['1 swallowed', '1 RELEASE s1', '1 ROLLBACK TO s1', '1 after', '1 COMMIT']);
  });

  it('dooms the unit when it cannot be undone', async () => {
    const { engine, transactions, transcript } = recordingEngine();
    transactions.releaseFailsWith.push(aborted);
    transactions.undoFailsWith = new Error('broken');
    const run = engine.run(() => engine.run({ propagation: 'NESTED' }, async () => undefined).catch(() => undefined));
    await expect(run).rejects.toMatchObject({ code: 'HF_UOW_ROLLBACK_ONLY', cause: transactions.undoFailsWith });
    expect(transcript.at(-1)).toBe('1 ROLLBACK');
  });

  it('is left to the database when the unit has ended meanwhile', async () => {
    const { engine, transactions, transcript } = recordingEngine();
    transactions.releaseFailsWith.push(aborted);
    let forgotten: Promise<unknown> | undefined;
    await engine.run(async () => {
      forgotten = engine.run({ propagation: 'NESTED' }, async () => undefined).catch((error: unknown) => error);
      await turns(1);
    });
    expect(await forgotten).toBe(aborted);
    expect(transcript).not.toContain('1 ROLLBACK TO s1');
  });
});

describe('stragglers', () => {
  it('of a unit that failed early are told so, and the rollback does not wait for them', async () => {
    const { engine, statement, transcript } = recordingEngine();
    let straggler: Promise<string> | undefined;
    const run = engine.run(async () => {
      straggler = turns(3)
        .then(() => statement('too late'))
        .then(() => 'ran', codeOf);
      throw new Error('early');
    });
    await expect(run).rejects.toThrow('early');
    expect(await straggler).toBe('HF_UOW_ENDED');
    expect(transcript).toEqual(['1 BEGIN', '1 ROLLBACK']);
  });

  it('that wait for their turn are told so', async () => {
    const { engine, statement, transcript } = recordingEngine();
    let waiting: Promise<string>[] = [];
    const run = engine.run(async () => {
      const part = engine.run({ propagation: 'NESTED' }, async () => {
        await statement('part');
        await new Promise(() => {});
      });
      part.catch(() => {});
      waiting = [statement('plain'), engine.run({ propagation: 'NESTED' }, () => statement('second part'))].map((each) =>
        each.then(() => 'ran', codeOf),
      );
      await turns(5);
      throw new Error('early');
    });
    await expect(run).rejects.toThrow('early');
    expect(await Promise.all(waiting)).toEqual(['HF_UOW_ENDED', 'HF_UOW_ENDED']);
    expect(transcript).toEqual(['1 BEGIN', '1 SAVEPOINT s1', '1 part', '1 ROLLBACK']);
  });

  it('may publish nothing', async () => {
    const { engine, publish, transcript } = recordingEngine();
    let straggler: Promise<string> | undefined;
    await engine.run(async () => {
      straggler = turns(3)
        .then(() => publish('too late'))
        .then(() => 'published', codeOf);
    });
    expect(await straggler).toBe('HF_UOW_ENDED');
    expect(transcript).toEqual(['1 BEGIN', '1 COMMIT']);
  });

  it('in a part nobody waited for are undone before the commit: all of the part or nothing', async () => {
    const { engine, statement, publish, transcript } = recordingEngine();
    let forgotten: Promise<string> | undefined;
    await engine.run(async () => {
      publish('kept');
      forgotten = engine
        .run({ propagation: 'NESTED' }, async () => {
          await statement('half');
          publish('half');
          await turns(20);
          await statement('other half');
        })
        .then(() => 'kept', codeOf);
      await turns(4);
    });
    expect(await forgotten).toBe('HF_UOW_ENDED');
    expect(transcript).toEqual(['1 BEGIN', '1 SAVEPOINT s1', '1 half', '1 ROLLBACK TO s1', '1 OUTBOX kept', '1 COMMIT']);
  });

  it('in a part that has only just begun never begin', async () => {
    const { engine, transcript } = recordingEngine();
    const work = jest.fn(() => Promise.resolve());
    let forgotten: Promise<string> | undefined;
    await engine.run(async () => {
      forgotten = engine.run({ propagation: 'NESTED' }, work).then(() => 'kept', codeOf);
    });
    expect(await forgotten).toBe('HF_UOW_ENDED');
    expect(work).not.toHaveBeenCalled();
    expect(transcript).toEqual(['1 BEGIN', '1 SAVEPOINT s1', '1 COMMIT']);
  });

  it('in a part inside a part that ends are undone with it', async () => {
    const { engine, statement, transcript } = recordingEngine();
    let forgotten: Promise<string> | undefined;
    await engine.run(async () => {
      await engine.run({ propagation: 'NESTED' }, async () => {
        await statement('part');
        forgotten = engine
          .run({ propagation: 'NESTED' }, async () => {
            await statement('half');
            await turns(20);
            await statement('never');
          })
          .then(() => 'kept', codeOf);
        await turns(4);
      });
      await statement('unit');
      await forgotten;
      await statement('still');
    });
    expect(await forgotten).toBe('HF_UOW_ENDED');
    expect(transcript).toEqual([
      '1 BEGIN',
      ...['1 SAVEPOINT s1', '1 part', '1 SAVEPOINT s2', '1 half', '1 ROLLBACK TO s2', '1 RELEASE s1'],
      ...['1 unit', '1 still', '1 COMMIT'],
    ]);
  });

  it('in a part that is just ending when the unit does are told what became of it', async () => {
    const { engine, statement, transcript } = recordingEngine();
    let part: Promise<string> | undefined;
    await engine.run(async () => {
      part = engine
        .run({ propagation: 'NESTED' }, async () => {
          engine.run({ propagation: 'NESTED' }, () => statement('inner').then(() => turns(20))).catch(() => {});
          await turns(5);
        })
        .then(() => 'kept', codeOf);
      await turns(6);
    });
    // The part was undoing its own straggler when the unit ended, so the unit undid the part.
    expect(await part).toBe('HF_UOW_ENDED');
    expect(transcript).toEqual([
      '1 BEGIN',
      '1 SAVEPOINT s1',
      '1 SAVEPOINT s2',
      '1 inner',
      '1 ROLLBACK TO s2',
      '1 ROLLBACK TO s1',
      '1 COMMIT',
    ]);
  });

  it('that join or nest after the end are refused, and a new unit is not', async () => {
    const { engine, transcript } = recordingEngine();
    const late: Promise<string>[] = [];
    const ran: string[] = [];
    await engine.run(async () => {
      for (const propagation of ['REQUIRED', 'NESTED', 'MANDATORY', 'SUPPORTS', 'REQUIRES_NEW'] as const) {
        late.push(
          turns(4)
            .then(() => engine.run({ propagation }, async () => void ran.push(propagation)))
            .then(() => 'ran', codeOf),
        );
      }
    });
    expect(await Promise.all(late)).toEqual(['HF_UOW_ENDED', 'HF_UOW_ENDED', 'HF_UOW_ENDED', 'HF_UOW_ENDED', 'ran']);
    expect(ran).toEqual(['REQUIRES_NEW']);
    expect(transcript).toEqual(['1 BEGIN', '1 COMMIT', '2 BEGIN', '2 COMMIT']);
  });
});
