import { ContextSlot, isHoldfastError, type TransactionHandles, UnitOfWork } from '@holdfast/core';
import { Inject, Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';

type Work = () => Promise<unknown>;
type SetTransaction = (transaction: unknown) => void;

/** What a transactional adapter of nestjs-cls gives its host. @source nestjs-cls, "Creating a custom adapter" */
interface AdapterOptions {
  wrapWithTransaction(options: unknown, work: Work, setTransaction: SetTransaction): Promise<unknown>;
  wrapWithNestedTransaction?(options: unknown, work: Work, ...rest: unknown[]): Promise<unknown>;
}

/** What nestjs-cls's TransactionHost does for code that must run outside. */
interface TransactionHost {
  withoutTransaction(work: Work): Promise<unknown>;
}

/**
 * Joins the transactions of nestjs-cls: inside one that is open on the store's database, the unit of work is that transaction, so messages commit with
 * it and injected repositories take part, as with `unit.join`. nestjs-cls opens and ends it; adapters of other databases are left alone.
 *
 * It is found by its shape, in the application's container, because it must work without being a dependency.
 */
@Injectable()
export class ClsTransactions {
  /** Inside a transaction of nestjs-cls that is joined: another one that it begins is on its own. */
  private readonly joined = new ContextSlot<boolean>();

  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(UnitOfWork) private readonly unit: UnitOfWork,
  ) {}

  /** Joins those of all hosts of the application; without a store there is nothing to join. */
  joinAll(): void {
    if (!(this.unit instanceof UnitOfWork)) return;
    for (const wrapper of this.discovery.getProviders()) {
      const instance: unknown = wrapper.isNotMetatype || wrapper.isDependencyTreeStatic() ? wrapper.instance : undefined;
      if (isAdapter(instance)) this.joinAdapter(instance);
      if (isHost(instance)) this.leaveWith(instance);
    }
  }

  private joinAdapter(adapter: AdapterOptions): void {
    const begin = adapter.wrapWithTransaction.bind(adapter);
    adapter.wrapWithTransaction = (options, work, setTransaction) => {
      let transaction: unknown;
      const keep = (given: unknown) => {
        transaction = given;
        setTransaction(given);
      };
      return this.apart(() => begin(options, () => this.inside(transaction, work), keep));
    };
    const nest = adapter.wrapWithNestedTransaction?.bind(adapter);
    if (nest !== undefined) adapter.wrapWithNestedTransaction = (options, work, ...rest) => nest(options, () => this.nested(work), ...rest);
  }

  private leaveWith(host: TransactionHost): void {
    const leave = host.withoutTransaction.bind(host);
    host.withoutTransaction = (work) => this.apart(() => leave(work));
  }

  private async inside(transaction: unknown, work: Work): Promise<unknown> {
    let hasBegun = false;
    const joined = () => {
      hasBegun = true;
      return this.joined.run(true, work);
    };
    try {
      return await this.unit.join(transaction as TransactionHandles[keyof TransactionHandles], joined);
    } catch (error) {
      // A transaction of something else, where nothing of Holdfast is; or a savepoint of the unit in scope, which is joined as it is.
      if (hasBegun || !isHoldfastError(error, 'HF_UOW_JOIN_HANDLE')) throw error;
      return work();
    }
  }

  /** What is rolled back to a savepoint takes its messages with it. */
  private nested(work: Work): Promise<unknown> {
    return this.joined.get() && this.unit.isActive ? this.unit.run({ propagation: 'NESTED' }, work) : work();
  }

  private apart(work: Work): Promise<unknown> {
    return this.joined.get() ? this.joined.run(false, () => this.unit.detached(work)) : work();
  }
}

function isAdapter(instance: unknown): instance is AdapterOptions {
  return ['wrapWithTransaction', 'getFallbackInstance'].every((name) => hasOwnMethod(instance, name));
}

function isHost(instance: unknown): instance is TransactionHost {
  if (typeof instance !== 'object' || instance === null) return false;
  const prototype: unknown = Object.getPrototypeOf(instance);
  return ['withTransaction', 'withoutTransaction', 'isTransactionActive'].every((name) => hasOwnMethod(prototype, name));
}

/** Its own: some objects answer for every name, such as proxies and mocks. */
function hasOwnMethod(holder: unknown, name: string): boolean {
  if (typeof holder !== 'object' || holder === null) return false;
  return typeof Object.getOwnPropertyDescriptor(holder, name)?.value === 'function';
}
