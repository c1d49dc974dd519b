import { hfError } from '../errors/catalogue.js';
import { silentLogger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { seededRandom } from '../time/random.js';
import { ScopeStorage } from './scope.js';
import type { AdoptedTransaction, BeginOptions, Savepoint, Transaction, TransactionPort } from './transaction.port.js';
import { UnitEngine } from './unit-engine.js';

/** What a database would have seen, one line a statement: the number of the transaction, then the statement. */
export type Transcript = string[];

class RecordingTransaction implements AdoptedTransaction {
  private savepoints = 0;
  private reason: Error | undefined;

  constructor(
    readonly dataSource: string,
    private readonly name: string,
    private readonly store: RecordingTransactions,
  ) {}

  async commit(): Promise<void> {
    await this.send('COMMIT');
    await this.store.commitAnswer;
    const error = this.store.commitFailsWith.shift();
    if (error) throw error;
  }

  async rollback(): Promise<void> {
    if (!this.reason) await this.send('ROLLBACK');
  }

  async savepoint(): Promise<Savepoint> {
    this.savepoints += 1;
    const name = `s${this.savepoints}`;
    await this.send(`SAVEPOINT ${name}`);
    return {
      release: async () => {
        await this.send(`RELEASE ${name}`);
        const error = this.store.releaseFailsWith.shift();
        if (error) throw error;
      },
      rollback: async () => {
        await this.send(`ROLLBACK TO ${name}`);
        if (this.store.undoFailsWith) throw this.store.undoFailsWith;
      },
    };
  }

  async abort(reason: Error): Promise<void> {
    await this.send('ABORT');
    this.reason = reason;
  }

  letGo(): void {
    this.store.transcript.push(`${this.name} let go`);
  }

  async send(statement: string): Promise<void> {
    if (this.reason) throw this.reason;
    this.store.transcript.push(`${this.name} ${statement}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Transactions that write down what happens to them. */
export class RecordingTransactions implements TransactionPort {
  readonly dataSources = ['default', 'other'] as const;
  readonly transcript: Transcript = [];
  /** What the next COMMITs answer; empty: they succeed. */
  readonly commitFailsWith: (Error | undefined)[] = [];
  /** What the next RELEASEs answer; empty: they succeed. */
  readonly releaseFailsWith: (Error | undefined)[] = [];
  /** What ROLLBACK TO answers; undefined: it succeeds. */
  undoFailsWith: Error | undefined;
  /** Resolves when a connection is free. */
  free: Promise<void> = Promise.resolve();
  commitAnswer: Promise<void> = Promise.resolve();
  private begun = 0;

  /** Lets COMMIT wait until the returned function is called with its answer. */
  holdCommit(): (error: Error) => void {
    let answer = (_: Error): void => {};
    this.commitAnswer = new Promise((_, reject) => {
      answer = reject;
    });
    return answer;
  }

  async begin({ dataSource, isolation, readOnly }: BeginOptions): Promise<Transaction> {
    await this.free;
    this.begun += 1;
    const name = `${dataSource === 'default' ? '' : `${dataSource} `}${this.begun}`;
    const transaction = new RecordingTransaction(dataSource, name, this);
    await transaction.send(`BEGIN${isolation ? ` ${isolation}` : ''}${readOnly ? ' READ ONLY' : ''}`);
    return transaction;
  }

  adopt(handle: object): AdoptedTransaction {
    if (!('isOpen' in handle)) throw hfError('HF_UOW_JOIN_HANDLE', { value: handle });
    return new RecordingTransaction('default', "user's", this);
  }

  isSerializationFailure(error: unknown): boolean {
    return error instanceof Error && error.message === 'deadlock';
  }
}

/** An engine over recording transactions, with what user code would call. Messages are texts. */
export function recordingEngine() {
  const transactions = new RecordingTransactions();
  const { transcript } = transactions;
  const scopes = new ScopeStorage<string>();
  const time = new VirtualTime();
  const written: string[] = [];
  let timers = 0;
  const logged: [string, unknown][] = [];
  const engine = new UnitEngine<string>({
    transactions,
    scopes,
    clock: time,
    scheduler: {
      after: (ms, task) => {
        timers += 1;
        const timer = time.after(ms, () => {
          timers -= 1;
          task();
        });
        return {
          cancel: () => {
            if (timer.cancel() as unknown) timers -= 1;
          },
        };
      },
      sleep: (ms, signal) => time.sleep(ms, signal),
    },
    random: seededRandom(1),
    logger: { ...silentLogger, error: (message, fields) => void logged.push([message, fields?.error]) },
    writeOutgoing: async (transaction, messages, protocol) => {
      written.push(...messages);
      await (transaction as RecordingTransaction).send(`${protocol === 'outbox' ? 'OUTBOX' : 'REGISTER'} ${messages.join(' ')}`);
      if (messages.includes('fails')) throw new Error('outbox');
      const told = (end: string) => () => void transcript.push(`- ${end} ${messages.join(' ')}`);
      return protocol === 'outbox' ? undefined : { committed: told('committed'), rolledBack: told('rolled back') };
    },
  });
  return {
    engine,
    transactions,
    transcript,
    scopes,
    time,
    logged,
    /** Messages that were to be written, whether or not they were. */
    written,
    /** Timers that would still strike. */
    pendingTimers: () => timers,
    /** What a repository does: a statement in the unit in scope, when it is its turn, or in none. */
    async statement(text: string, dataSource = 'default'): Promise<void> {
      const scope = scopes.current(dataSource);
      if (!scope) {
        transcript.push(`- ${text}`);
        return;
      }
      while (!scope.isActive()) await scope.unit.turn();
      await (scope.transaction as RecordingTransaction).send(text);
    },
    publish(message: string): void {
      const unit = engine.current();
      if (unit) unit.outgoing(message);
      else transcript.push(`- PUBLISH ${message}`);
    },
  };
}
