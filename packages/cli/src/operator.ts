import type { OperatorAction } from '@holdfast/core';
import type { Call } from './command.js';
import { UsageError } from './usage-error.js';

/** Who does it and why, for the audit table. @throws UsageError when nobody is named and the system has no name for the user */
export function actionOf({ values, terminal }: Call): OperatorAction {
  const by = values.by ?? terminal.user();
  if (!by) throw new UsageError('It is not known who does this, and the audit table needs a name.', 'Add --by <name>.');
  return values.reason === undefined ? { by } : { by, reason: values.reason };
}
