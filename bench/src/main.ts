import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { CASES } from './cases/index.js';
import { readArguments } from './runner/arguments.js';
import { type Bench, type Case, openBench } from './runner/bench.js';
import { summary, table } from './runner/report.js';
import { Skipped } from './runner/rabbit.js';
import { failed, type Result, skipped } from './runner/result.js';

/** `npm run bench [-- --quick] [--json FILE] [--only NAME]…` */
async function main(): Promise<void> {
  const asked = readArguments(
    process.argv.slice(2),
    CASES.map(({ name }) => name),
  );
  if (asked === undefined) return;
  const { isQuick, json, only } = asked;
  const cases = CASES.filter(({ name }) => only.length === 0 || only.some((part) => name.includes(part)));
  console.log(
    `${cases.length} cases${isQuick ? ', quick' : ''} · Node ${process.version} · ${cpus().length} cores · load ${loadavg()[0]?.toFixed(1)}\n`,
  );
  const results: Result[] = [];
  const bench = await openBench(isQuick);
  try {
    for (const one of cases) results.push(...(await runCase(one, bench)));
  } finally {
    await bench.close();
  }
  console.log(`\n${table(results)}`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(results, undefined, 2)}\n`);
  // A target that is missed is a result, and so is a case that has no broker; one that broke is not.
  if (results.some(({ value, skipped: reason }) => value === null && reason === undefined)) process.exitCode = 1;
}

async function runCase(one: Case, bench: Bench): Promise<readonly Result[]> {
  const startedMs = performance.now();
  const results = await one.run(bench).catch((error: unknown) => {
    if (error instanceof Skipped) return [skipped(one.name, error.message)];
    console.error(error);
    return [failed(one.name, error)];
  });
  for (const result of results) console.log(summary(result));
  bench.note(`${one.name} took ${((performance.now() - startedMs) / 1000).toFixed(0)} s, load ${loadavg()[0]?.toFixed(1)}`);
  return results;
}

void main();
