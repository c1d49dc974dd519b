import { hfError } from '@holdfast/core';
import { TypeormTransaction } from '../../../packages/typeorm/src/unit-of-work/owned-transaction.js';

/** Loses the answer to one COMMIT, which comes through: that of the next unit which has written into `table`. How many were lost. Ends with `jest.restoreAllMocks()`. */
export function loseAnswerToCommitOf(table: string): () => number {
  const { commit } = TypeormTransaction.prototype;
  let lost = 0;
  jest.spyOn(TypeormTransaction.prototype, 'commit').mockImplementation(async function (this: TypeormTransaction) {
    const wrote = { text: `select from ${table} where xmin = pg_current_xact_id()::xid` };
    const isMeant = lost === 0 && (await this.run(wrote)).rows.length > 0;
    await commit.call(this);
    if (!isMeant) return;
    lost += 1;
    throw hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'default' });
  });
  return () => lost;
}
