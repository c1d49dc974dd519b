import { type Kept, type Promised, PROMISES, type Proof, TRANSPORTS } from './promises.js';

/** A test that a run of Jest tells of (`--json`). */
export interface TestTold {
  /** Path of its file, from the root of the repository. */
  readonly file: string;
  readonly ancestorTitles: readonly string[];
  readonly title: string;
  /** `passed` and `failed`; all others did not run. */
  readonly status: string;
}

const STORE = /^the store /;

/** What a run has proven: transport × promise, each cell the tests that ran, or the error with which the promise is refused. Undefined when no contract was in the run. */
export function resultsTable(tests: readonly TestTold[]): string | undefined {
  const columns = Object.entries(TRANSPORTS);
  const isOfContract = ({ ancestorTitles }: TestTold) => columns.some(([, { name }]) => ancestorTitles.includes(contractTitle(name)));
  if (!tests.some((test) => isOfContract(test) && test.status !== 'pending')) return undefined;
  const rows = PROMISES.map((promised) => [
    promised.short,
    ...columns.map(([transport, { capabilities }]) => cell(promised.kept(capabilities, transport), proving(promised, transport, tests))),
  ]);
  return aligned([['promise', ...columns.map(([transport]) => transport)], ...rows]);
}

/** The tests of a run that prove a promise over a transport. */
export function proving({ proofs }: Promised, transport: string, tests: readonly TestTold[]): readonly TestTold[] {
  return tests.filter((test) => proofs.some((proof) => isOf(proof, transport, test)));
}

/** Title of the suite in which the contract of transports runs over one of them. */
export function contractTitle(name: string | undefined): string {
  return `the transport ${name}`;
}

function isOf(proof: Proof, transport: string, test: TestTold): boolean {
  const { ancestorTitles, title } = test;
  if ('contract' in proof) return ancestorTitles.includes(contractTitle(TRANSPORTS[transport]?.name)) && begins(title, proof.contract);
  if ('store' in proof) return ancestorTitles.some((each) => STORE.test(each)) && begins(title, proof.store);
  return ('files' in proof ? proof.files : (proof.by[transport] ?? [])).some((place) => isAt(place, test));
}

function begins(title: string, beginnings: readonly string[]): boolean {
  return beginnings.some((beginning) => title.startsWith(beginning));
}

function isAt(place: string, { file, ancestorTitles, title }: TestTold): boolean {
  const [path, part = ''] = place.split('#');
  return file === path && [...ancestorTitles, title].join(' ').includes(part);
}

function cell(kept: Kept, tests: readonly TestTold[]): string {
  if (typeof kept !== 'string') return `refused: ${kept.refused}`;
  const count = (status: string) => tests.filter((test) => test.status === status).length;
  const [passed, failed] = [count('passed'), count('failed')];
  if (failed > 0) return `FAILED (${failed} of ${passed + failed})`;
  const missing = tests.length - passed;
  if (passed === 0) return 'not run';
  return `passed (${passed}${missing > 0 ? `, ${missing} not run` : ''})`;
}

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
