import { type Clock, hfError } from '@holdfast/core';
import type { RawConnection, Statement } from './sql.js';
import { Unanswered, within } from './within.js';

/** Longest wait for the answer to a statement, its connection included. */
const ANSWER_MS = 10_000;
/** A connection that was not used for so long is not used any more: something on its way may have forgotten it, without a word. The pool does the same. */
const IDLE_MS = 10_000;

/** What a connection apart is made with. */
export interface ApartConnectionParts {
  /** Opens one that is none of the pool's, and calls `ended` when that ends by itself. */
  readonly connect: (ended: () => void) => Promise<RawConnection>;
  readonly isPreparing: boolean;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/**
 * A connection that is none of the pool's, opened when it is first needed: for statements that somebody waits for who holds a connection of the pool. With
 * the pool full of them, one from there would never come.
 */
export class ApartConnection {
  private opening: Promise<RawConnection> | undefined;
  private usedMs = 0;

  constructor(private readonly parts: ApartConnectionParts) {}

  /** One at a time is called for. @throws HF_STORE_UNANSWERED */
  async run<Row>({ name, text, values }: Statement): Promise<readonly Row[]> {
    const { clock } = this.parts;
    if (clock.monotonicMs() - this.usedMs > IDLE_MS) this.close();
    const opening = this.opening ?? this.open();
    const answer = opening.then(({ client }) => client.query(this.parts.isPreparing ? { name, text, values } : { text, values }));
    try {
      const { rows } = await within(ANSWER_MS, answer);
      this.usedMs = clock.monotonicMs();
      return rows as Row[];
    } catch (error) {
      this.forget(opening, error);
      throw error instanceof Unanswered ? hfError('HF_STORE_UNANSWERED', { timeoutMs: ANSWER_MS }, { cause: error }) : error;
    }
  }

  /** The next statement gets another one. */
  close(): void {
    if (this.opening !== undefined) this.forget(this.opening);
  }

  private open(): Promise<RawConnection> {
    const opening = this.parts.connect(() => this.forget(opening));
    this.opening = opening;
    return opening;
  }

  /** The next statement gets a new one: this one may be broken. */
  private forget(opening: Promise<RawConnection>, error?: unknown): void {
    if (this.opening === opening) this.opening = undefined;
    opening.then(
      ({ release }) => release(error instanceof Error ? error : undefined),
      () => undefined,
    );
  }
}
