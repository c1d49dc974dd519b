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

  it('says less of a transport that can do less, and names the error of what it refuses', () => {
    const none = { capabilities: { ...DATABASE_CAPABILITIES, partitionedDelivery: false, replies: false, persistent: false } };
    const table = guaranteesTable({ 'none()': none });
    expect(table).toContain('| refused: `HF_CONFIG_INVALID` |');
    expect(table).toContain('| refused: `HF_CAPABILITY_UNSUPPORTED` |');
    expect(table).toContain('| while the process lives |');
    expect(guaranteesTable({ 'none()': { capabilities: DATABASE_CAPABILITIES } })).not.toContain('HF_CAPABILITY_UNSUPPORTED');
  });

  it('says what an order costs over each transport, and what RabbitMQ makes an exception of', () => {
    const order = guaranteesTable()
      .split('\n')
      .find((line) => line.includes("`ordering: 'key'`"));
    const costs = order?.match(/costs two more statements a message, and [^|;]+/g) ?? [];
    expect(new Set(costs).size).toBe(5);
    expect(guaranteesTable()).toMatch(/\| yes<sup>1<\/sup> \|[\s\S]*<sup>1<\/sup> With `publishMode: 'tx'`.*reject-publish/);
    expect(guaranteesTable()).not.toMatch(/\[tx\]/);
  });
});
