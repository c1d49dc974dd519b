import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DATABASE_CAPABILITIES } from '@holdfast/transport-database';
import { guaranteesTable } from './guarantees-table.js';

const README = join(__dirname, '..', '..', 'README.md');
const BEGIN = '<!-- guarantees:begin -->';
const END = '<!-- guarantees:end -->';

describe('the table of guarantees', () => {
  it('is in the README as it is printed here (npm run docs writes it)', () => {
    const text = readFileSync(README, 'utf8');
    expect(text.slice(text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)).trim()).toBe(guaranteesTable());
  });

  it('says less of a transport that can do less', () => {
    const none = { ...DATABASE_CAPABILITIES, partitionedDelivery: false, persistent: false };
    expect(guaranteesTable({ 'none()': none })).toContain('| refused at start |');
    expect(guaranteesTable({ 'none()': none })).not.toBe(guaranteesTable({ 'none()': DATABASE_CAPABILITIES }));
  });
});
