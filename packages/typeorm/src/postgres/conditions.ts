import { hfError } from '@holdfast/core';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;

/** Conditions joined by `and`, every value bound. */
export class Conditions {
  readonly values: unknown[];
  text = '';

  constructor(...values: readonly unknown[]) {
    this.values = [...values];
  }

  bind(value: unknown): string {
    return `$${this.values.push(value)}`;
  }

  and(condition: string): void {
    this.text += ` and ${condition}`;
  }
}

/** Rows of a page, checked. @throws HF_OPERATOR_PAGE */
export function pageLimit(limit: number = DEFAULT_LIMIT): number {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) throw hfError('HF_OPERATOR_PAGE', { what: 'limit', value: limit });
  return limit;
}

/** True for the text of a row's number. */
export function isRowId(id: string): boolean {
  return /^\d{1,18}$/.test(id);
}
