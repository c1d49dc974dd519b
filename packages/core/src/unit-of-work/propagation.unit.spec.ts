import { isHoldfastError } from '../errors/holdfast-error.js';
import { recordingEngine, type Transcript } from './recording-transactions.spec.js';
import type { Propagation } from './unit-of-work.js';

/** The whole conversation with the database, for each word: alone, inside a unit, and inside one that catches its failure. */
const TABLE: Record<Propagation, { readonly alone: Transcript; readonly inside: Transcript; readonly failing: Transcript }> = {
  REQUIRED: {
    alone: ['1 BEGIN', '1 inner', '1 OUTBOX i', '1 COMMIT'],
    inside: ['1 BEGIN', '1 before', '1 inner', '1 after', '1 OUTBOX b i a', '1 COMMIT'],
    failing: ['1 BEGIN', '1 before', '1 inner', '1 after', '1 ROLLBACK', 'HF_UOW_ROLLBACK_ONLY'],
  },
  REQUIRES_NEW: {
    alone: ['1 BEGIN', '1 inner', '1 OUTBOX i', '1 COMMIT'],
    inside: ['1 BEGIN', '1 before', '2 BEGIN', '2 inner', '2 OUTBOX i', '2 COMMIT', '1 after', '1 OUTBOX b a', '1 COMMIT'],
    failing: ['1 BEGIN', '1 before', '2 BEGIN', '2 inner', '2 ROLLBACK', '1 after', '1 OUTBOX b a', '1 COMMIT'],
  },
  NESTED: {
    alone: ['1 BEGIN', '1 inner', '1 OUTBOX i', '1 COMMIT'],
    inside: ['1 BEGIN', '1 before', '1 SAVEPOINT s1', '1 inner', '1 RELEASE s1', '1 after', '1 OUTBOX b i a', '1 COMMIT'],
    failing: ['1 BEGIN', '1 before', '1 SAVEPOINT s1', '1 inner', '1 ROLLBACK TO s1', '1 after', '1 OUTBOX b a', '1 COMMIT'],
  },
  MANDATORY: {
    alone: ['HF_UOW_PROPAGATION'],
    inside: ['1 BEGIN', '1 before', '1 inner', '1 after', '1 OUTBOX b i a', '1 COMMIT'],
    failing: ['1 BEGIN', '1 before', '1 inner', '1 after', '1 ROLLBACK', 'HF_UOW_ROLLBACK_ONLY'],
  },
  SUPPORTS: {
    alone: ['- inner', '- PUBLISH i'],
    inside: ['1 BEGIN', '1 before', '1 inner', '1 after', '1 OUTBOX b i a', '1 COMMIT'],
    failing: ['1 BEGIN', '1 before', '1 inner', '1 after', '1 ROLLBACK', 'HF_UOW_ROLLBACK_ONLY'],
  },
  NOT_SUPPORTED: {
    alone: ['- inner', '- PUBLISH i'],
    inside: ['1 BEGIN', '1 before', '- inner', '- PUBLISH i', '1 after', '1 OUTBOX b a', '1 COMMIT'],
    failing: ['1 BEGIN', '1 before', '- inner', '- PUBLISH i', '1 after', '1 OUTBOX b a', '1 COMMIT'],
  },
  NEVER: {
    alone: ['- inner', '- PUBLISH i'],
    inside: ['1 BEGIN', '1 before', '1 ROLLBACK', 'HF_UOW_PROPAGATION'],
    failing: ['1 BEGIN', '1 before', '1 after', '1 OUTBOX b a', '1 COMMIT'],
  },
};

function scene(propagation: Propagation) {
  const { engine, statement, publish, transcript } = recordingEngine();
  const inner = (error?: Error) =>
    engine.run({ propagation }, async () => {
      await statement('inner');
      publish('i');
      if (error) throw error;
    });
  const outer = (work: () => Promise<void>) =>
    engine.run(async () => {
      await statement('before');
      publish('b');
      await work();
      await statement('after');
      publish('a');
    });
  const told = async (run: Promise<void>): Promise<Transcript> => {
    await run.catch((error: unknown) => transcript.push(isHoldfastError(error) ? error.code : String(error)));
    return transcript;
  };
  return { inner, outer, told };
}

describe.each(Object.entries(TABLE))('%s', (word, expected) => {
  const propagation = word as Propagation;

  it('alone', async () => {
    const { inner, told } = scene(propagation);
    expect(await told(inner())).toEqual(expected.alone);
  });

  it('inside a unit', async () => {
    const { inner, outer, told } = scene(propagation);
    expect(await told(outer(() => inner()))).toEqual(expected.inside);
  });

  it('inside a unit that catches its failure', async () => {
    const { inner, outer, told } = scene(propagation);
    expect(await told(outer(() => inner(new Error('no')).catch(() => {})))).toEqual(expected.failing);
  });
});

describe('a unit of another data source', () => {
  it('is a transaction of its own, and comes before the end of the one around', async () => {
    const { engine, statement, publish, transcript } = recordingEngine();
    await engine.run(async () => {
      publish('d');
      await engine.run({ dataSource: 'other' }, async () => {
        await statement('here', 'other');
        await statement('there');
        publish('o');
      });
    });
    expect(transcript).toEqual([
      '1 BEGIN',
      'other 2 BEGIN',
      'other 2 here',
      '1 there',
      'other 2 OUTBOX o',
      'other 2 COMMIT',
      '1 OUTBOX d',
      '1 COMMIT',
    ]);
  });

  it('stays in force when the default one is suspended', async () => {
    const { engine, publish, transcript } = recordingEngine();
    await engine.run({ dataSource: 'other' }, () =>
      engine.run(() => engine.run({ propagation: 'NOT_SUPPORTED' }, async () => publish('m'))),
    );
    expect(transcript).toEqual(['other 1 BEGIN', '2 BEGIN', '2 COMMIT', 'other 1 OUTBOX m', 'other 1 COMMIT']);
  });

  it('must be known', async () => {
    await expect(recordingEngine().engine.run({ dataSource: 'nowhere' }, async () => {})).rejects.toMatchObject({
      code: 'HF_UOW_DATA_SOURCE',
    });
  });
});
