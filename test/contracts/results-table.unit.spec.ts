// What the table at the end of `npm test` says, and that what it counts is there.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERRORS } from '@holdfast/core';
import { storeContract, transportContract } from '@holdfast/core/testing/contracts';
import { type Kept, type Proof, PROMISES, type Promised, TRANSPORTS } from './promises.js';
import { contractTitle, proving, resultsTable, type TestTold } from './results-table.js';

const ROOT = join(__dirname, '..', '..');
const transports = Object.entries(TRANSPORTS);
const keptOver = (promised: Promised, transport: string): Kept => promised.kept(TRANSPORTS[transport]!.capabilities, transport);
const isRefused = (kept: Kept) => typeof kept !== 'string';

/** All cases of the contracts, as a run tells of them when they pass. */
const RUN: readonly TestTold[] = [
  ...transports.flatMap(([, { name, capabilities }]) =>
    transportContract(capabilities).map((fact) => ({
      file: 'test/contracts/some-transport.int.spec.ts',
      ancestorTitles: [contractTitle(name)],
      title: fact.name,
      status: 'passed',
    })),
  ),
  ...storeContract().map((fact) => ({
    file: 'test/contracts/some-store.int.spec.ts',
    ancestorTitles: ['the store typeorm on PostgreSQL 18'],
    title: fact.name,
    status: 'passed',
  })),
];

const inOneLine = (table: string | undefined, promise: string) => table?.split('\n').find((line) => line.startsWith(promise)) ?? '';
const placesOf = (proof: Proof): readonly string[] =>
  'files' in proof ? proof.files : 'by' in proof ? Object.values(proof.by).flat() : [];

describe('the proofs of promises', () => {
  it.each(PROMISES)('of "$short" are there over each transport that does not refuse it', (promised) => {
    const without = transports.filter(([transport]) => {
      const isProvenInFile = promised.proofs.some((proof) => ('by' in proof ? proof.by[transport] !== undefined : 'files' in proof));
      return !isRefused(keptOver(promised, transport)) && !isProvenInFile && proving(promised, transport, RUN).length === 0;
    });
    expect(without.map(([transport]) => transport)).toEqual([]);
  });

  it.each(PROMISES)('of "$short" name titles that cases of a contract begin with', ({ proofs }) => {
    const titlesOf = (proof: Proof) => ('contract' in proof ? proof.contract : 'store' in proof ? proof.store : []);
    const strangers = proofs.flatMap((proof) =>
      titlesOf(proof).filter((beginning) => !RUN.some(({ title }) => title.startsWith(beginning))),
    );
    expect(strangers).toEqual([]);
  });

  it.each(PROMISES)('of "$short" name files of tests, and parts of titles that are in them or in what they call', ({ proofs }) => {
    const [, ...functions] = readFileSync(join(ROOT, 'test/crash/support/over-broker.ts'), 'utf8').split('export function ');
    const strangers = proofs.flatMap(placesOf).filter((place) => {
      const [path = '', part = ''] = place.split('#');
      if (!existsSync(join(ROOT, path))) return true;
      const text = readFileSync(join(ROOT, path), 'utf8');
      const called = functions.filter((each) => text.includes(each.slice(0, each.indexOf('('))));
      return ![text, ...called].some((each) => each.includes(part));
    });
    expect(strangers).toEqual([]);
  });

  it('name errors of the catalogue where a promise is refused', () => {
    const weakest = { ...TRANSPORTS['database()']!.capabilities, partitionedDelivery: false, replies: false, fencedOffsets: false };
    const refusals = PROMISES.map(({ kept }) => kept(weakest, 'none()')).filter(
      (kept): kept is { refused: string } => typeof kept !== 'string',
    );
    expect(refusals).toHaveLength(3);
    for (const { refused } of refusals) expect(Object.keys(ERRORS)).toContain(refused);
  });
});

describe('the table of what a run has proven', () => {
  it('counts the tests that passed, and names the error of what is refused', () => {
    const table = resultsTable(RUN);
    expect(inOneLine(table, 'order of a key')).toMatch(/^order of a key( +passed \(\d+\)){5}$/);
    expect(inOneLine(table, 'Kafka transactions')).toMatch(
      /^Kafka transactions( +refused: HF_CONFIG_INVALID){2} +not run( +refused: HF_CONFIG_INVALID){2}$/,
    );
  });

  it('says what failed and what did not run', () => {
    const order = "with ordering: 'key', messages of a key";
    const told = RUN.map((test) => {
      if (!test.title.startsWith(order)) return test;
      if (test.ancestorTitles.includes('the transport kafka')) return { ...test, status: 'failed' };
      return test.ancestorTitles.includes('the transport rabbitmq') ? { ...test, status: 'pending' } : test;
    });
    const line = inOneLine(resultsTable(told), 'order of a key');
    expect(line).toMatch(/passed \(\d+\) +passed \(\d+, 1 not run\) +FAILED \(1 of \d+\) +passed \(\d+\)/);
    const withoutBroker = RUN.filter(({ ancestorTitles }) => !ancestorTitles.includes('the transport rabbitmq'));
    expect(inOneLine(resultsTable(withoutBroker), 'half messages')).toMatch(/^half messages +passed \(\d+\) +not run +passed/);
  });

  it('is none when no contract of a transport has run', () => {
    expect(resultsTable(RUN.filter(({ ancestorTitles }) => ancestorTitles[0]?.startsWith('the store ')))).toBeUndefined();
    expect(resultsTable([])).toBeUndefined();
  });
});
