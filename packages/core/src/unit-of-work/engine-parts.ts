import type { Logger } from '../monitoring/logger.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { Scheduler } from '../time/scheduler.js';
import type { ScopeStorage } from './scope.js';
import type { UnitGate } from './unit-gate.js';
import type { Transaction, TransactionPort } from './transaction.port.js';
import type { LocalProtocol } from './unit-of-work.js';

/** Whom to tell of the end of a unit whose messages were written; nobody is, when it is unknown. */
export interface WrittenOutgoing {
  readonly committed: () => void;
  readonly rolledBack?: () => void;
}

/** What the engine of units of work is made of. */
export interface EngineParts<Outgoing> {
  readonly transactions: TransactionPort;
  /** Shared with the store, whose interception asks it for the scope in force. */
  readonly scopes: ScopeStorage<Outgoing>;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly logger: Logger;
  /** Whether units may begin; default: always. */
  readonly gate?: UnitGate;
  /** Writes the messages of a unit as its last statement; never called with none. */
  readonly writeOutgoing: (
    transaction: Transaction,
    messages: readonly Outgoing[],
    protocol: LocalProtocol,
  ) => Promise<WrittenOutgoing | undefined>;
}
