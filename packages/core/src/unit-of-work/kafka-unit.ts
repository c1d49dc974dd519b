import { ContextSlot } from '../context/context-slot.js';
import { hfError } from '../errors/catalogue.js';
import type { Hook, RollbackHook } from './unit.js';

type HookName = 'beforeCommit' | 'afterCommit' | 'afterRollback';

/** Name in events, where a database's units have that of their DataSource. */
export const KAFKA_UNIT = 'kafka';

/**
 * A Kafka transaction as its handlers see it. At the broker it begins when they are done, so what they publish is gathered here: an open transaction would
 * hold up everybody who reads the same partitions.
 */
export class KafkaUnit<Outgoing = unknown> {
  readonly messages: Outgoing[] = [];
  private readonly hooks: Record<HookName, RollbackHook[]> = { beforeCommit: [], afterCommit: [], afterRollback: [] };
  private endedBy: Error | undefined;

  /** @param transport name of the one whose transaction it is */
  constructor(readonly transport: string) {}

  /** @throws HF_UOW_ENDED, or why it has ended */
  assertLive(): void {
    if (this.endedBy !== undefined) throw this.endedBy;
  }

  add(name: HookName, hook: RollbackHook): void {
    this.assertLive();
    this.hooks[name].push(hook);
  }

  /** Also those registered meanwhile; what one throws fails the unit. */
  async runBefore(): Promise<void> {
    const { beforeCommit } = this.hooks;
    for (let hook = beforeCommit.shift(); hook !== undefined; hook = beforeCommit.shift()) await hook(undefined);
  }

  /** What runs after its end. */
  after(name: 'afterCommit' | 'afterRollback', error?: unknown): readonly Hook[] {
    return this.hooks[name].map((hook) => () => hook(error));
  }

  /** From now on nothing joins it. */
  end(reason: Error = hfError('HF_UOW_ENDED', {})): void {
    this.endedBy ??= reason;
  }
}

/** Which Kafka transaction is in scope, in one application. */
export class KafkaUnits<Outgoing = unknown> {
  private readonly slot = new ContextSlot<KafkaUnit<Outgoing> | undefined>();

  get current(): KafkaUnit<Outgoing> | undefined {
    return this.slot.get();
  }

  run<T>(unit: KafkaUnit<Outgoing>, work: () => T): T {
    return this.slot.run(unit, work);
  }

  /** Runs `work` in none. */
  outside<T>(work: () => T): T {
    return this.slot.run(undefined, work);
  }

  /** @throws HF_UOW_KAFKA_DATABASE inside one */
  assertNone(call: string): void {
    if (this.current !== undefined) throw hfError('HF_UOW_KAFKA_DATABASE', { call });
  }
}
