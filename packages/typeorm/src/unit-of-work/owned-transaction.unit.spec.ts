import { hfError, ScopeStorage, subscribe } from '@holdfast/core';
import type { DataSource } from 'typeorm';
import { TypeormTransaction } from './owned-transaction.js';
import { isSerializationFailure, type PgClient, type PgResult } from './pg-client.js';

type Status = 'I' | 'T' | 'E';

/** What a server does with a statement: the status after it, and the tag it answers or the error. */
interface Answer {
  readonly status?: Status;
  readonly tag?: string;
  readonly error?: Error;
  /** Nothing comes, as when a peer has vanished. */
  readonly isMissing?: boolean;
}

const severe = (severity: string, code: string): Error => Object.assign(new Error(code), { severity, code });

/** A transaction on a client that answers as told; the transcript has the statements and what became of the connection. */
async function scripted(answers: Readonly<Record<string, Answer>>, tell?: () => Promise<void>) {
  const transcript: string[] = [];
  let status: Status = 'I';
  const client: PgClient = {
    on: () => {},
    getTransactionStatus: () => status,
    query: async (statement) => {
      const text = typeof statement === 'string' ? statement : (statement as { text: string }).text;
      transcript.push(text);
      const {
        error,
        tag = text,
        isMissing = false,
        ...answer
      } = answers[text] ?? (text === 'ROLLBACK' || text === 'COMMIT' ? { status: 'I' } : { status: 'T' });
      status = answer.status ?? status;
      if (isMissing) await new Promise(() => undefined);
      if (error) throw error;
      return { command: tag, rows: [], rowCount: 0 } satisfies PgResult;
    },
  };
  const connection = { client, release: (error?: Error) => void transcript.push(error ? 'destroyed' : 'given back') };
  const subscribers: object[] = [];
  const runner = { manager: {}, broadcaster: { broadcast: tell } };
  const source = { subscribers, manager: { transaction: () => undefined }, createQueryRunner: () => runner } as unknown as DataSource;
  const transaction = new TypeormTransaction({ name: 'default', scopes: new ScopeStorage(), isPreparing: true }, source, connection);
  await transaction.begin({ text: 'BEGIN' });
  if (tell) subscribers.push({});
  return { transaction, transcript };
}

/** The same, after its first statement. */
async function begun(answers: Readonly<Record<string, Answer>>, tell?: () => Promise<void>) {
  const { transaction, transcript } = await scripted(answers, tell);
  await transaction.run({ text: 'work' });
  return { transaction, transcript };
}

/** The same, with a subscriber whose `beforeTransactionRollback` waits for `proceed`. */
async function withSlowSubscriber() {
  let proceed = (): void => undefined;
  const slow = new Promise<void>((resolve) => {
    proceed = resolve;
  });
  const { transaction, transcript } = await begun({}, () => slow);
  return { transaction, transcript, proceed: () => proceed() };
}

const outcomeOf = (end: Promise<void>) =>
  end.then(
    () => 'committed',
    (error: { code: string }) => error.code,
  );

describe('COMMIT', () => {
  it.each<[what: string, answer: Answer, outcome: string, rest: string[], rollback?: Answer]>([
    ['answered COMMIT', { status: 'I', tag: 'COMMIT' }, 'committed', ['given back']],
    ['answered ROLLBACK', { status: 'I', tag: 'ROLLBACK' }, 'HF_UOW_ROLLBACK_ONLY', ['ROLLBACK', 'given back']],
    ['answered with an error', { status: 'I', error: severe('ERROR', '23503') }, '23503', ['ROLLBACK', 'given back']],
    ['answered with an error whose status is still to come', { error: severe('ERROR', '23503') }, '23503', ['ROLLBACK', 'given back']],
    ['answered with an error in German', { status: 'I', error: severe('FEHLER', '23503') }, '23503', ['ROLLBACK', 'given back']],
    ['answered with an error in Russian', { status: 'I', error: severe('ОШИБКА', 'XX000') }, 'XX000', ['ROLLBACK', 'given back']],
    [
      'answered in Russian by a server that dies then',
      { error: severe('ВАЖНО', 'XX000') },
      'HF_UOW_COMMIT_UNKNOWN',
      ['ROLLBACK', 'destroyed'],
      { error: new Error('Connection terminated unexpectedly') },
    ],
    ['answered in Russian by a dying server', { error: severe('ВАЖНО', '57P01') }, 'HF_UOW_COMMIT_UNKNOWN', ['destroyed']],
    ['answered by a pooler that has lost the server', { error: severe('ERROR', '08006') }, 'HF_UOW_COMMIT_UNKNOWN', ['destroyed']],
    ['answered by a dying server', { error: severe('FATAL', '57P01') }, 'HF_UOW_COMMIT_UNKNOWN', ['destroyed']],
    ['never answered', { error: new Error('Connection terminated unexpectedly') }, 'HF_UOW_COMMIT_UNKNOWN', ['destroyed']],
  ])('%s', async (_, answer, outcome, rest, rollback: Answer = { status: 'I' }) => {
    const { transaction, transcript } = await begun({ COMMIT: answer, ROLLBACK: rollback });
    expect(await outcomeOf(transaction.commit())).toBe(outcome);
    expect(transcript).toEqual(['BEGIN', 'work', 'COMMIT', ...rest]);
  });

  it('is not sent when the transaction has ended, also when that is told later than the error', async () => {
    const { transaction, transcript } = await begun({ commit: { error: severe('ERROR', '23503') }, '': { status: 'I' } });
    await expect(transaction.run({ text: 'commit' })).rejects.toThrow();
    expect(await outcomeOf(transaction.commit())).toBe('HF_UOW_ROLLBACK_ONLY');
    expect(transcript).toEqual(['BEGIN', 'work', 'commit', '', 'ROLLBACK', 'given back']);
  });
});

describe('a subscriber that is told of the commit and throws', () => {
  it('has the transaction rolled back, also where it throws what an unknown COMMIT throws', async () => {
    const unknown = hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'another' });
    const { transaction, transcript } = await begun({}, () => Promise.reject(unknown));
    await expect(transaction.commit()).rejects.toBe(unknown);
    expect(transcript).toEqual(['BEGIN', 'work', 'ROLLBACK', 'given back']);
  });
});

describe('a subscriber that is told of the commit and does not end', () => {
  it('keeps nobody waiting once the transaction is ended', async () => {
    const { transaction, transcript } = await begun({}, () => new Promise<never>(() => undefined));
    const commit = transaction.commit();
    const reason = new Error('time is up');
    // Those who hear of the rollback do not end either, and are waited for elsewhere.
    void transaction.abort(reason);
    await expect(commit).rejects.toBe(reason);
    expect(transcript).toEqual(['BEGIN', 'work', 'ROLLBACK', 'given back']);
  });
});

describe('the same work is run again', () => {
  const [deadlock, dataSource] = [severe('FEHLER', '40P01'), 'default'];

  it.each([
    ['after a deadlock, also within another error', new Error('of the ORM', { cause: deadlock }), true],
    ['not after a COMMIT that may have come through', hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource }, { cause: deadlock }), false],
  ])('%s', (_, error, expected) => expect(isSerializationFailure(error)).toBe(expected));
});

describe('a statement of the framework', () => {
  it.each(['I', 'E'] as const)('is not sent in status %s, also when that is told later than the error', async (status) => {
    const { transaction, transcript } = await begun({ bad: { error: severe('ERROR', '23503') }, '': { status } });
    await expect(transaction.run({ text: 'bad' })).rejects.toThrow();
    await expect(transaction.run({ text: 'outbox' })).rejects.toMatchObject({ code: 'HF_UOW_ROLLBACK_ONLY' });
    await transaction.rollback();
    expect(transcript).toEqual(['BEGIN', 'work', 'bad', '', 'ROLLBACK', 'given back']);
  });
});

describe('the connection', () => {
  it.each<[what: string, answer: Answer, last: string]>([
    ['is given back after ROLLBACK', { status: 'I' }, 'given back'],
    ['is destroyed when ROLLBACK fails', { error: new Error('broken') }, 'destroyed'],
    ['is destroyed when a transaction is open after ROLLBACK', { status: 'T' }, 'destroyed'],
  ])('%s', async (_, answer, last) => {
    const { transaction, transcript } = await begun({ ROLLBACK: answer });
    await transaction.rollback();
    await transaction.rollback();
    expect({ transcript, isCutOff: transaction.isCutOff }).toEqual({ transcript: ['BEGIN', 'work', 'ROLLBACK', last], isCutOff: false });
  });

  it('is destroyed when ROLLBACK is never answered, which may leave its session there', async () => {
    jest.useFakeTimers();
    const { transaction, transcript } = await begun({ ROLLBACK: { isMissing: true } });
    const end = transaction.rollback();
    await jest.advanceTimersByTimeAsync(5000);
    await end;
    jest.useRealTimers();
    expect({ transcript, isCutOff: transaction.isCutOff }).toEqual({
      transcript: ['BEGIN', 'work', 'ROLLBACK', 'destroyed'],
      isCutOff: true,
    });
  });

  it('is destroyed when BEGIN is refused, and nothing else is sent', async () => {
    const { transaction, transcript } = await scripted({ BEGIN: { error: severe('ERROR', '22023') } });
    await expect(transaction.run({ text: 'work' })).rejects.toThrow('22023');
    await expect(transaction.run({ text: 'more' })).rejects.toThrow('22023');
    await transaction.rollback();
    expect(transcript).toEqual(['BEGIN', 'destroyed']);
  });
});

describe('a subscriber that does not answer', () => {
  const told: unknown[] = [];
  const stop = subscribe('hook:failed', ({ hook, error }) => told.push([hook, (error as { code?: string }).code]));
  beforeEach(() => told.splice(0));
  afterAll(stop);

  it.each([
    ['commit', 1, [['afterCommit', 'HF_UOW_HOOK_TIMEOUT']]],
    ['rollback', 2, Array(2).fill(['afterRollback', 'HF_UOW_HOOK_TIMEOUT'])],
  ] as const)('does not hold up a %s for ever', async (verb, waits, expected) => {
    jest.useFakeTimers();
    let answers = verb === 'commit' ? 1 : 0;
    const tell = async () => {
      answers -= 1;
      if (answers < 0) await new Promise<void>(() => undefined);
    };
    const { transaction, transcript } = await begun({}, tell);
    const end = transaction[verb]();
    for (let n = 0; n < waits; n += 1) await jest.advanceTimersByTimeAsync(31_000);
    await end;
    jest.useRealTimers();
    expect({ transcript, told }).toEqual({ transcript: ['BEGIN', 'work', verb.toUpperCase(), 'given back'], told: expected });
  });
});

describe('a transaction that is ended while a subscriber is told', () => {
  it('is not rolled back a second time: the connection is somebody else’s', async () => {
    const { transaction, transcript, proceed } = await withSlowSubscriber();
    const rollback = transaction.rollback();
    await transaction.abort(new Error('time is up'));
    proceed();
    await rollback;
    expect(transcript).toEqual(['BEGIN', 'work', 'ROLLBACK', 'given back']);
  });

  it('is not committed', async () => {
    const { transaction, transcript, proceed } = await withSlowSubscriber();
    const commit = transaction.commit();
    await transaction.abort(new Error('time is up'));
    proceed();
    await expect(commit).rejects.toThrow('time is up');
    expect(transcript).toEqual(['BEGIN', 'work', 'ROLLBACK', 'given back']);
  });
});

describe('BEGIN', () => {
  it.each(['commit', 'rollback'] as const)('is not sent when %s comes before any statement', async (end) => {
    const { transaction, transcript } = await scripted({});
    await transaction[end]();
    expect(transcript).toEqual(['given back']);
  });

  it('is sent before what goes out with COMMIT', async () => {
    const { transaction, transcript } = await scripted({});
    await transaction.runLast({ text: 'first' });
    await transaction.runLast({ text: 'second', values: [] });
    await transaction.commit();
    expect(transcript).toEqual(['BEGIN', 'first', 'second', 'COMMIT', 'given back']);
  });

  it('is sent before a savepoint', async () => {
    const { transaction, transcript } = await scripted({});
    await transaction.savepoint();
    await transaction.rollback();
    expect(transcript).toEqual(['BEGIN', 'SAVEPOINT hf_1', 'ROLLBACK', 'given back']);
  });
});
