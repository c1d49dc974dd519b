import { isHoldfastError } from '@holdfast/core';

/** An error of the set-up as a line of HF_CONFIG_INVALID; one that is already a list gives its entries. */
export function problemsOf(error: unknown): readonly string[] {
  if (typeof error === 'string') return [error];
  if (isHoldfastError(error)) {
    const { problems } = error.details;
    return error.code === 'HF_CONFIG_INVALID' && Array.isArray(problems) ? problems.map(String) : [`${error.message} (${error.code})`];
  }
  return [error instanceof Error ? error.message : String(error)];
}
