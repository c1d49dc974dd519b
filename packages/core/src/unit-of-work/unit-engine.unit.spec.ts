import { subscribe } from '../monitoring/events.js';
import { hfError } from '../errors/catalogue.js';
import { recordingEngine } from './recording-transactions.spec.js';
import type { Transaction } from './transaction.port.js';
import type { UnitOptions } from './unit-of-work.js';

const pause = () => new Promise((resolve) => setImmediate(resolve));

describe('what a unit commits', () => {
  it('has the messages in the order of the calls, without those of parts that were undone', async () => {
    const { engine, publish, transcript } = recordingEngine();
    const part = (name: string, error?: Error) =>
      engine.run({ propagation: 'NESTED' }, async () => {
        publish(`${name}1`);
        await pause();
        publish(`${name}2`);
        if (error) throw error;
      });
    await engine.run(async () => {
      publish('a');
      await part('kept');
      publish('b');
      await part('undone', new Error('no')).catch(() => {});
      const around = engine.run({ propagation: 'NESTED' }, () =>
        part('kept in what is undone').then(() => Promise.reject(new Error('no'))),
      );
      await around.catch(() => {});
      await engine.run({ propagation: 'NESTED' }, async () => {
        publish('c');
        await part('deep', new Error('no')).catch(() => {});
        await part('deeper');
      });
    });
    expect(transcript.filter((line) => line.includes('OUTBOX'))).toEqual(['1 OUTBOX a kept1 kept2 b c deeper1 deeper2']);
  });

  it('has what the framework does for a part as a whole, or not at all, also when nobody waits for it', async () => {
    const { engine, transcript } = recordingEngine();
    const both = (name: string) => {
      const statements = async (tx: Transaction) => {
        for (const n of [1, 2]) await (tx as Transaction & { send(text: string): Promise<void> }).send(`${name} ${n}`);
      };
      void engine.current()?.inTurn(statements);
    };
    const part = (name: string, error?: Error) =>
      engine.run({ propagation: 'NESTED' }, async () => {
        both(name);
        if (error) throw error;
      });
    await engine.run(async () => {
      both('first');
      await part('undone', new Error('no')).catch(() => {});
      await part('kept');
      both('last');
    });
    expect(transcript).toEqual([
      ...['1 BEGIN', '1 first 1', '1 first 2'],
      ...['1 SAVEPOINT s1', '1 undone 1', '1 undone 2', '1 ROLLBACK TO s1'],
      ...['1 SAVEPOINT s2', '1 kept 1', '1 kept 2', '1 RELEASE s2'],
      ...['1 last 1', '1 last 2', '1 COMMIT'],
    ]);
  });

  it('has it as a whole, or not at all, whenever it begins while the unit ends', async () => {
    const whole = ['1 first', '1 second'];
    const seen = new Set<number>();
    for (let steps = 0; steps < 20; steps += 1) {
      const { engine, transcript } = recordingEngine();
      const late = async () => {
        for (let step = 0; step < steps; step += 1) await null;
        await engine.current()?.inTurn(async (tx) => {
          const { send } = tx as Transaction & { send(text: string): Promise<void> };
          await send.call(tx, 'first');
          await send.call(tx, 'second');
        });
      };
      let ended: Promise<unknown> = Promise.resolve();
      await engine.run(async () => {
        ended = late().catch(() => undefined);
      });
      await ended;
      const committed = transcript.slice(0, transcript.indexOf('1 COMMIT')).filter((line) => whole.includes(line));
      expect([[], whole]).toContainEqual(committed);
      seen.add(committed.length);
    }
    expect(seen).toEqual(new Set([0, 2]));
  });

  it('writes nothing when there is no message', async () => {
    const { engine, transcript } = recordingEngine();
    expect(await engine.run(async () => 'result')).toBe('result');
    expect(transcript).toEqual(['1 BEGIN', '1 COMMIT']);
  });

  it('is begun with its options', async () => {
    const { engine, transcript } = recordingEngine();
    await engine.run({ isolation: 'SERIALIZABLE', readOnly: true }, async () => {});
    expect(transcript).toEqual(['1 BEGIN SERIALIZABLE READ ONLY', '1 COMMIT']);
  });

  it('takes no message when it is read-only', async () => {
    const { engine, publish, transcript } = recordingEngine();
    await expect(engine.run({ readOnly: true }, async () => publish('m'))).rejects.toMatchObject({ code: 'HF_UOW_READ_ONLY' });
    expect(transcript).toEqual(['1 BEGIN READ ONLY', '1 ROLLBACK']);
  });

  it('is rolled back when its messages cannot be written', async () => {
    const { engine, transactions, transcript, publish } = recordingEngine();
    transactions.commitFailsWith.push(new Error('never asked'));
    const run = engine.run(async () => {
      publish('fails');
      engine.afterRollback((error) => void transcript.push(`after rollback: ${error}`));
    });
    await expect(run).rejects.toThrow('outbox');
    expect(transcript).toEqual(['1 BEGIN', '1 OUTBOX fails', '1 ROLLBACK', 'after rollback: Error: outbox']);
  });
});

describe('hooks', () => {
  it('run before COMMIT in order, within the unit, and may publish and register more', async () => {
    const { engine, publish, statement, transcript } = recordingEngine();
    await engine.run(async () => {
      engine.beforeCommit(async () => {
        await statement('first hook');
        publish('h');
        engine.beforeCommit(() => statement('third hook'));
      });
      engine.beforeCommit(() => statement('second hook'));
      publish('m');
    });
    expect(transcript).toEqual(['1 BEGIN', '1 first hook', '1 second hook', '1 third hook', '1 OUTBOX m h', '1 COMMIT']);
  });

  it('run before what the framework has left for the last, which is not done for a part that was undone', async () => {
    const { engine, statement, transcript } = recordingEngine();
    const leave = (text: string) => engine.current()?.beforeCommit(() => statement(text));
    await engine.run(async () => {
      leave('the last');
      const part = engine.run({ propagation: 'NESTED' }, async () => {
        leave('never');
        throw new Error('no');
      });
      await part.catch(() => {});
      engine.beforeCommit(async () => {
        await statement('first hook');
        engine.beforeCommit(() => statement('second hook'));
      });
    });
    expect(transcript.slice(-4)).toEqual(['1 first hook', '1 second hook', '1 the last', '1 COMMIT']);
  });

  it('fail the unit before COMMIT', async () => {
    const { engine, transcript } = recordingEngine();
    const run = engine.run(async () => {
      engine.beforeCommit(() => Promise.reject(new Error('refused')));
    });
    await expect(run).rejects.toThrow('refused');
    expect(transcript).toEqual(['1 BEGIN', '1 ROLLBACK']);
  });

  it('run after the commit one after another, awaited, in no unit', async () => {
    const { engine, statement, transcript } = recordingEngine();
    await engine.run(() =>
      engine.run({ propagation: 'REQUIRES_NEW' }, async () => {
        engine.afterRollback(() => void transcript.push('never'));
        engine.afterCommit(async () => {
          await pause();
          await statement('first');
        });
        engine.afterCommit(() => statement('second'));
      }),
    );
    expect(transcript).toEqual(['1 BEGIN', '2 BEGIN', '2 COMMIT', '- first', '- second', '1 COMMIT']);
  });

  it('change nothing when they throw after the commit: logged, told, and the next one runs', async () => {
    const { engine, transcript, logged } = recordingEngine();
    const told: unknown[] = [];
    const stop = subscribe('hook:failed', (event) => void told.push(event));
    const error = new Error('hook');
    const result = await engine.run(async () => {
      engine.afterCommit(() => Promise.reject(error));
      engine.afterCommit(() => void transcript.push('next'));
      return 'result';
    });
    stop();
    expect({ result, transcript, told, logged: logged.map(([, each]) => each) }).toEqual({
      result: 'result',
      transcript: ['1 BEGIN', '1 COMMIT', 'next'],
      told: [{ hook: 'afterCommit', error }],
      logged: [error],
    });
  });

  it('run after the rollback with the error, and those for the commit do not', async () => {
    const { engine, transcript } = recordingEngine();
    const run = engine.run(async () => {
      engine.afterCommit(() => void transcript.push('never'));
      engine.afterRollback((error) => void transcript.push(`rolled back by ${error}`));
      throw new Error('it');
    });
    await expect(run).rejects.toThrow('it');
    expect(transcript).toEqual(['1 BEGIN', '1 ROLLBACK', 'rolled back by Error: it']);
  });

  it('of a part that was undone: its afterRollback runs with its own error when the unit has ended, its others never', async () => {
    const { engine, transcript } = recordingEngine();
    await engine.run(async () => {
      const part = engine.run({ propagation: 'NESTED' }, async () => {
        engine.beforeCommit(() => void transcript.push('never'));
        engine.afterCommit(() => void transcript.push('never'));
        engine.afterRollback((error) => void transcript.push(`part: ${error}`));
        throw new Error('no');
      });
      await part.catch(() => {});
      engine.afterRollback(() => void transcript.push('never'));
    });
    expect(transcript).toEqual(['1 BEGIN', '1 SAVEPOINT s1', '1 ROLLBACK TO s1', '1 COMMIT', 'part: Error: no']);
  });

  it('of a part that was undone have its own error also when the unit rolls back', async () => {
    const { engine, transcript } = recordingEngine();
    const run = engine.run(async () => {
      engine.afterRollback((error) => void transcript.push(`unit: ${error}`));
      const part = engine.run({ propagation: 'NESTED' }, async () => {
        engine.afterRollback((error) => void transcript.push(`part: ${error}`));
        throw new Error('first');
      });
      await part.catch(() => {});
      throw new Error('second');
    });
    await expect(run).rejects.toThrow('second');
    expect(transcript.slice(-2)).toEqual(['unit: Error: second', 'part: Error: first']);
  });

  it('do not run when the outcome of COMMIT is unknown', async () => {
    const { engine, transactions, transcript } = recordingEngine();
    transactions.commitFailsWith.push(hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'default' }));
    const run = engine.run(async () => {
      engine.afterCommit(() => void transcript.push('never'));
      engine.afterRollback(() => void transcript.push('never'));
    });
    await expect(run).rejects.toMatchObject({ code: 'HF_UOW_COMMIT_UNKNOWN' });
    expect(transcript).toEqual(['1 BEGIN', '1 COMMIT']);
  });

  it('run after the rollback of a unit whose work lets through that the outcome of another one is unknown', async () => {
    const { engine, transactions, transcript } = recordingEngine();
    transactions.commitFailsWith.push(hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'default' }));
    const run = engine.run(async () => {
      engine.afterRollback((error) => void transcript.push((error as { code: string }).code));
      await engine.run({ propagation: 'REQUIRES_NEW' }, async () => undefined);
    });
    await expect(run).rejects.toMatchObject({ code: 'HF_UOW_COMMIT_UNKNOWN' });
    expect(transcript).toEqual(['1 BEGIN', '2 BEGIN', '2 COMMIT', '1 ROLLBACK', 'HF_UOW_COMMIT_UNKNOWN']);
  });

  it('run after the rollback when COMMIT was refused', async () => {
    const { engine, transactions, transcript } = recordingEngine();
    transactions.commitFailsWith.push(new Error('deferred constraint'));
    const run = engine.run(async () => {
      engine.afterRollback((error) => void transcript.push(String(error)));
    });
    await expect(run).rejects.toThrow('deferred constraint');
    expect(transcript).toEqual(['1 BEGIN', '1 COMMIT', '1 ROLLBACK', 'Error: deferred constraint']);
  });

  it.each(['beforeCommit', 'afterCommit', 'afterRollback'] as const)(
    '%s is refused outside a unit, and in one that has ended',
    async (name) => {
      const { engine } = recordingEngine();
      expect(() => engine[name](() => {})).toThrow(expect.objectContaining({ code: 'HF_UOW_NONE' }));
      let late: Promise<void> | undefined;
      await engine.run(async () => {
        late = pause()
          .then(pause)
          .then(pause)
          .then(() => engine[name](() => {}));
      });
      await expect(late).rejects.toMatchObject({ code: 'HF_UOW_ENDED' });
    },
  );
});

describe('joining', () => {
  const REFUSED: [UnitOptions, UnitOptions, string][] = [
    [{}, { isolation: 'SERIALIZABLE' }, 'HF_UOW_OPTIONS_DIFFER'],
    [{ isolation: 'READ COMMITTED' }, { isolation: 'SERIALIZABLE' }, 'HF_UOW_OPTIONS_DIFFER'],
    [{ readOnly: true }, { readOnly: false }, 'HF_UOW_OPTIONS_DIFFER'],
    [{}, { protocol: 'half-message' }, 'HF_UOW_OPTIONS_DIFFER'],
    [{ protocol: 'half-message' }, { protocol: 'outbox', propagation: 'NESTED' }, 'HF_UOW_OPTIONS_DIFFER'],
    [{}, { retries: 1 }, 'HF_UOW_RETRIES_JOINED'],
    [{ retries: 1 }, { retries: 2 }, 'HF_UOW_RETRIES_JOINED'],
    [{}, { isolation: 'SERIALIZABLE', propagation: 'NESTED' }, 'HF_UOW_OPTIONS_DIFFER'],
    [{}, { retries: 1, propagation: 'NESTED' }, 'HF_UOW_RETRIES_JOINED'],
  ];
  const ALLOWED: [UnitOptions, UnitOptions][] = [
    [{ isolation: 'SERIALIZABLE' }, { isolation: 'SERIALIZABLE' }],
    [{ isolation: 'SERIALIZABLE' }, {}],
    [{}, { readOnly: true, propagation: 'SUPPORTS' }],
    [{ readOnly: true }, {}],
    [{}, { readOnly: false }],
    [{ retries: 3 }, { retries: 3 }],
    [{ timeout: '1s' }, { timeout: '1m' }],
    [{ protocol: 'half-message' }, { protocol: 'half-message', propagation: 'MANDATORY' }],
    [{ protocol: 'half-message' }, {}],
    [{}, { protocol: 'outbox' }],
  ];

  it.each(REFUSED)('a unit with %j by a method with %j throws %s', async (outer, inner, code) => {
    const { engine } = recordingEngine();
    await expect(engine.run(outer, () => engine.run(inner, async () => {}))).rejects.toMatchObject({ code });
  });

  it.each(ALLOWED)('a unit with %j by a method with %j is fine', async (outer, inner) => {
    const { engine, transcript } = recordingEngine();
    await engine.run(outer, () => engine.run(inner, async () => {}));
    expect(transcript).toHaveLength(2);
  });

  it('names the option and both values', async () => {
    const { engine } = recordingEngine();
    const run = engine.run({ isolation: 'READ COMMITTED' }, () => engine.run({ isolation: 'SERIALIZABLE' }, async () => {}));
    await expect(run).rejects.toMatchObject({ details: { option: 'isolation', actual: 'READ COMMITTED', wanted: 'SERIALIZABLE' } });
  });

  it('and failing dooms the part it was in, not the unit around', async () => {
    const { engine, transcript } = recordingEngine();
    const cause = new Error('half done');
    let told: unknown;
    await engine.run(async () => {
      const part = engine.run({ propagation: 'NESTED' }, () => engine.run(() => Promise.reject(cause)).catch(() => {}));
      told = await part.catch((error: unknown) => error);
    });
    expect(told).toMatchObject({ code: 'HF_UOW_ROLLBACK_ONLY', cause });
    expect(transcript).toEqual(['1 BEGIN', '1 SAVEPOINT s1', '1 ROLLBACK TO s1', '1 COMMIT']);
  });
});

describe('a part that cannot be undone', () => {
  it('takes its unit with it', async () => {
    const { engine, transactions, transcript } = recordingEngine();
    transactions.undoFailsWith = new Error('gone');
    const run = engine.run(() => engine.run({ propagation: 'NESTED' }, () => Promise.reject(new Error('no'))).catch(() => {}));
    await expect(run).rejects.toMatchObject({ code: 'HF_UOW_ROLLBACK_ONLY', cause: transactions.undoFailsWith });
    expect(transcript).toEqual(['1 BEGIN', '1 SAVEPOINT s1', '1 ROLLBACK TO s1', '1 ROLLBACK']);
  });
});

describe('detached work', () => {
  it('is in no unit and may outlive it', async () => {
    const { engine, statement, transcript } = recordingEngine();
    let outliving: Promise<void> | undefined;
    await engine.run(async () => {
      outliving = engine.detached(async () => {
        await statement('during');
        await pause();
        await pause();
        await statement('after');
      });
    });
    await outliving;
    expect(transcript).toEqual(['1 BEGIN', '- during', '1 COMMIT', '- after']);
  });
});

describe('what goes on after its unit', () => {
  async function* generator() {
    yield 1;
  }
  const STREAMS: [string, unknown][] = [
    ['an Observable', { pipe: () => {}, subscribe: () => {} }],
    ['a stream', { pipe: () => {}, [Symbol.asyncIterator]: () => {} }],
    ['an async iterable', generator()],
    ['a generator', (function* () {})()],
  ];

  it.each(STREAMS)('%s is refused, and the unit rolled back', async (kind, value) => {
    const { engine, transcript } = recordingEngine();
    await expect(engine.run(async () => value)).rejects.toMatchObject({ code: 'HF_UOW_STREAM_RETURNED', details: { value: kind } });
    expect(transcript).toEqual(['1 BEGIN', '1 ROLLBACK']);
  });

  it.each(STREAMS)('%s is refused from a part too', async (_, value) => {
    const { engine, transcript } = recordingEngine();
    const run = engine.run(() => engine.run({ propagation: 'NESTED' }, async () => value));
    await expect(run).rejects.toMatchObject({ code: 'HF_UOW_STREAM_RETURNED' });
    expect(transcript).toEqual(['1 BEGIN', '1 SAVEPOINT s1', '1 ROLLBACK TO s1', '1 ROLLBACK']);
  });

  it('is refused from a joined method too, whatever its caller returns', async () => {
    const { engine, transcript } = recordingEngine();
    const run = engine.run(async () => {
      await engine.run(async () => generator());
    });
    await expect(run).rejects.toMatchObject({ code: 'HF_UOW_STREAM_RETURNED' });
    expect(transcript).toEqual(['1 BEGIN', '1 ROLLBACK']);
  });

  it.each([[undefined], [null], [0], [[1, 2]], [new Map([[1, 2]])], [new Date()], [Buffer.from('x')], ['text']])(
    '%p is a result',
    async (value) => {
      const { engine } = recordingEngine();
      expect(await engine.run(async () => value)).toBe(value);
    },
  );
});

describe('the framework', () => {
  it('runs units of its own in a fresh root context', async () => {
    const { engine, transcript } = recordingEngine();
    await engine.run(() => engine.runFramework({ timeout: '1m' }, async (transaction) => void transcript.push(transaction.dataSource)));
    expect(transcript).toEqual(['1 BEGIN', '2 BEGIN', 'default', '2 COMMIT', '1 COMMIT']);
  });

  it('sees the unit in scope, and none in a fresh root context', async () => {
    const { engine } = recordingEngine();
    expect(engine.current()).toBeUndefined();
    await engine.run({ readOnly: true }, async () => {
      expect(engine.current()).toMatchObject({ dataSource: 'default', isReadOnly: true });
      expect(engine.current('other')).toBeUndefined();
      expect(engine.isActive).toBe(true);
      engine.runInRoot(() => expect(engine.current()).toBeUndefined());
    });
    expect(engine.isActive).toBe(false);
  });
});
