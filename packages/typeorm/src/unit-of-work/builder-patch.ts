import type { DataSource, QueryRunner } from 'typeorm';
import { notedRunner } from './outside-writes.js';
import { participantsOf, runnerInScope } from './participants.js';
import { dataSourceOf, type OfDataSource, patchMethod } from './prototype-patch.js';
import { unreleased } from './unit-runner.js';

interface Builder extends OfDataSource {
  readonly queryRunner?: unknown;
  readonly expressionMap?: { readonly queryType?: string };
}

/**
 * A query builder asks for a runner when it is executed, maybe in a unit that began after it was made: the one method of its prototypes that has to
 * know of units. Done once per process and copy of TypeORM; where there is no unit it does what it did.
 */
export function patchQueryBuilders(dataSource: DataSource): void {
  patchMethod(
    dataSource.createQueryBuilder(),
    'obtainQueryRunner',
    (original) =>
      function (this: unknown): unknown {
        const builder = this as Builder;
        return builder.queryRunner ?? runnerOf(builder, () => original.call(builder) as QueryRunner);
      },
  );
}

function runnerOf(builder: Builder, make: () => QueryRunner): unknown {
  const dataSource = dataSourceOf(builder);
  if (!dataSource || !participantsOf(dataSource)) return make();
  const runner = runnerInScope(dataSource);
  if (runner) return unreleased(runner);
  return builder.expressionMap?.queryType === 'select' ? make() : notedRunner(dataSource, make);
}
