/** What a writer meant to publish. `n` counts the transactions that changed the key's row, so it is the order the database enforced. */
export interface Fact {
  readonly id: string;
  readonly key: string;
  readonly n: number;
}

/** What one reader saw, in the order in which it saw it. */
export interface Seen {
  readonly reader: string;
  readonly facts: readonly Fact[];
}

type Outcome = 'attempted' | 'acknowledged' | 'unknown' | 'rolled back';

/** What a run came to, for one reader. */
export interface Verdict {
  readonly reader: string;
  readonly committed: number;
  readonly delivered: number;
  /** Committed and never seen. */
  readonly lost: readonly string[];
  /** Seen and not committed. */
  readonly phantom: readonly string[];
  /** Seen for the first time after a later one of their key. */
  readonly outOfOrder: readonly string[];
  /** Deliveries beyond the first. */
  readonly repeats: number;
}

/**
 * The account of a run: what was attempted, what was acknowledged as committed, what nobody knows (the connection broke during COMMIT) and what
 * was rolled back. The unknown ones are decided by a business row of the same transaction, read when all is over.
 */
export class History {
  private readonly outcomes = new Map<string, Outcome>();

  set(outcome: Outcome, ids: readonly string[]): void {
    for (const id of ids) this.outcomes.set(id, outcome);
  }

  count(outcome: Outcome): number {
    return [...this.outcomes.values()].filter((each) => each === outcome).length;
  }

  get acknowledged(): number {
    return this.count('acknowledged');
  }

  /** Acknowledged commits that are gone, and rollbacks that are there: the database, not the log, would be to blame. */
  contradictions(committed: readonly Fact[]): string[] {
    const there = new Set(committed.map(({ id }) => id));
    return [...this.outcomes].flatMap(([id, outcome]) => {
      if (outcome === 'acknowledged' && !there.has(id)) return [`${id} was acknowledged and is gone`];
      if (outcome === 'rolled back' && there.has(id)) return [`${id} was rolled back and is there`];
      return [];
    });
  }

  summary(): string {
    const counts = (['acknowledged', 'unknown', 'rolled back', 'attempted'] as const).map((outcome) => `${this.count(outcome)} ${outcome}`);
    return `${this.outcomes.size} messages: ${counts.join(', ')}`;
  }
}

/** Compares what a reader saw with what was committed. */
export function verdictOf(committed: readonly Fact[], { reader, facts }: Seen): Verdict {
  const there = new Set(committed.map(({ id }) => id));
  const seen = new Set<string>();
  const reached = new Map<string, number>();
  const outOfOrder: string[] = [];
  for (const { id, key, n } of facts) {
    if (seen.has(id)) continue;
    seen.add(id);
    const before = reached.get(key) ?? 0;
    if (n < before) outOfOrder.push(`${key}: ${n} came after ${before}`);
    else reached.set(key, n);
  }
  return {
    reader,
    committed: committed.length,
    delivered: seen.size,
    lost: committed.filter(({ id }) => !seen.has(id)).map(describe),
    phantom: facts.filter(({ id }) => !there.has(id)).map(describe),
    outOfOrder,
    repeats: facts.length - seen.size,
  };
}

/** The verdict in one line, with examples of what is wrong. */
export function describeVerdict({ reader, committed, delivered, lost, phantom, outOfOrder, repeats }: Verdict): string {
  const list = (name: string, items: readonly string[]) =>
    `${items.length} ${name}${items.length > 0 ? ` (${items.slice(0, 5).join('; ')})` : ''}`;
  return `${reader}: ${committed} committed, ${delivered} delivered, ${repeats} repeats, ${[list('lost', lost), list('phantom', phantom), list('out of order', outOfOrder)].join(', ')}`;
}

function describe({ id, key, n }: Fact): string {
  return `${key}/${n} ${id}`;
}
