import type { KafkaUnits } from './kafka-unit.js';
import type { Hook, RollbackHook } from './unit.js';
import { type TransactionHandles, UnitOfWork, type UnitOptions } from './unit-of-work.js';

/** The units of a database, except inside a Kafka transaction: that has hooks, and no database joins it. */
export class KafkaUnitOfWork extends UnitOfWork {
  constructor(
    private readonly kafka: KafkaUnits,
    private readonly database: UnitOfWork,
  ) {
    super();
  }

  get isActive(): boolean {
    return this.kafka.current !== undefined || this.database.isActive;
  }

  run<T>(work: () => Promise<T>): Promise<T>;
  run<T>(options: UnitOptions, work: () => Promise<T>): Promise<T>;
  async run<T>(first: UnitOptions | (() => Promise<T>), second?: () => Promise<T>): Promise<T> {
    this.kafka.assertNone('unit.run(), or a call of a @Transactional method,');
    return second === undefined ? this.database.run(first as () => Promise<T>) : this.database.run(first as UnitOptions, second);
  }

  beforeCommit(hook: Hook): void {
    const unit = this.kafka.current;
    if (unit === undefined) this.database.beforeCommit(hook);
    else unit.add('beforeCommit', hook);
  }

  afterCommit(hook: Hook): void {
    const unit = this.kafka.current;
    if (unit === undefined) this.database.afterCommit(hook);
    else unit.add('afterCommit', hook);
  }

  afterRollback(hook: RollbackHook): void {
    const unit = this.kafka.current;
    if (unit === undefined) this.database.afterRollback(hook);
    else unit.add('afterRollback', hook);
  }

  async detached<T>(work: () => Promise<T>): Promise<T> {
    return this.kafka.current === undefined ? this.database.detached(work) : this.kafka.outside(work);
  }

  async join<T>(transaction: TransactionHandles[keyof TransactionHandles], work: () => Promise<T>): Promise<T> {
    this.kafka.assertNone('unit.join()');
    return this.database.join(transaction, work);
  }
}

/** Where there is no database: nothing but what a Kafka transaction in scope gives. `none` tells what is missing elsewhere. */
export function onlyInKafkaUnits(kafka: KafkaUnits, none: UnitOfWork): UnitOfWork {
  const inside = new KafkaUnitOfWork(kafka, none);
  return new Proxy(none, {
    get: (target, name) => (kafka.current === undefined ? Reflect.get(target, name) : Reflect.get(inside, name, inside)),
  });
}
