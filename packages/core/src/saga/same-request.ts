import { hfError } from '../errors/catalogue.js';
import type { RequestWait } from './saga-progress.js';

/** What a step asks for, and of whom. */
export type RequestRoute = Pick<RequestWait, 'type' | 'route'>;

/**
 * Refuses a request that takes the id of another one: that may lie somewhere still, where nobody would undo it any more.
 *
 * @param before the request that the step has sent before and that nobody has answered, where there is one; of an older version without its route
 * @throws HF_SAGA_REQUEST_CHANGED
 */
export function assertSameRequest(
  before: RequestRoute | undefined,
  found: RequestRoute,
  owner: { readonly saga: string; readonly id: string; readonly step: string },
): void {
  if (before === undefined) return;
  const [was, is] = before.route === undefined ? [before.type, found.type] : [before.route, found.route];
  if (was !== is) throw hfError('HF_SAGA_REQUEST_CHANGED', { ...owner, before: was, found: is });
}
