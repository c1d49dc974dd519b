import { isHoldfastError } from '../errors/holdfast-error.js';

/** What broke a COMMIT whose outcome was unknown, for whoever knows by now that there was none: that passes. Any other error as it is. */
export function reasonOfUnknown(error: unknown): unknown {
  return isHoldfastError(error, 'HF_UOW_COMMIT_UNKNOWN') ? ((error as Error).cause ?? error) : error;
}
