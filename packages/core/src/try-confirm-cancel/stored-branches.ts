import { hfError } from '../errors/catalogue.js';
import { emit } from '../monitoring/events.js';
import type { OperatorAction, Page, Paged } from '../operations/operators.js';
import { type BranchChange, type BranchOperation, type BranchProgress, endedBy, endingBy } from './branch-decisions.js';
import type { BranchOperationStore } from './branch.store.port.js';
import { Branches, type BranchFilter, type BranchInfo } from './branches.js';

/** What operators of branches work with. */
export interface StoredBranchesParts {
  readonly store: BranchOperationStore;
  /** True inside any unit of work, a broker's too. */
  readonly isInUnit: () => boolean;
  /** Something may be due. */
  readonly changed: () => void;
}

type Named = OperatorAction & { readonly name: 'retry' | 'skip' };

/** Branches as rows of a store. */
export class StoredBranches extends Branches {
  constructor(private readonly parts: StoredBranchesParts) {
    super();
  }

  list(filter: BranchFilter & Page = {}): Promise<Paged<BranchInfo>> {
    return this.parts.store.list(filter);
  }

  get(id: string): Promise<BranchInfo | undefined> {
    return this.parts.store.find(id);
  }

  async retry(id: string, action: OperatorAction): Promise<void> {
    await this.operate(id, { ...action, name: 'retry' }, (progress, operation) => ({
      progress: { ...progress, status: endingBy(operation), attempts: 0 },
      afterMs: 0,
    }));
    this.parts.changed();
  }

  async skip(id: string, action: OperatorAction): Promise<void> {
    let operation: BranchOperation | undefined;
    const method = await this.operate(id, { ...action, name: 'skip' }, (progress, asked) => {
      operation = asked;
      return { progress: { ...progress, status: endedBy(asked) }, afterMs: undefined };
    });
    emit('branch:ended', () => ({ branch: id, method, status: endedBy(operation as BranchOperation), how: 'by-hand' as const }));
  }

  /** Name of its try. */
  private async operate(
    id: string,
    action: Named,
    change: (progress: BranchProgress, operation: BranchOperation) => BranchChange,
  ): Promise<string> {
    const { store, isInUnit } = this.parts;
    if (isInUnit()) throw hfError('HF_TCC_REPAIR_IN_TRANSACTION', { action: action.name, id });
    if (!action.by) throw hfError('HF_OPERATOR_REASON', { action: action.name, field: 'by' });
    const found = await store.operate(id, action, (progress) => change(progress, progress.operation as BranchOperation));
    if (found === undefined) throw hfError('HF_TCC_UNKNOWN', { id });
    if (found.status !== 'parked') throw hfError('HF_TCC_NOT_PARKED', { action: action.name, id, status: found.status });
    return found.method;
  }
}
