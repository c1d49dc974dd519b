// What users get: packs every package, looks at the tarballs, installs them into empty applications outside the
// repository (where Node finds nothing else), compiles and runs one message through. `--report=<file>` gets the counts.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));
const versions = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).devDependencies;

const nest12 = {
  '@nestjs/common': versions['@nestjs/common'],
  '@nestjs/core': versions['@nestjs/core'],
  '@nestjs/testing': versions['@nestjs/testing'],
  '@nestjs/typeorm': versions['@nestjs/typeorm'],
  typeorm: versions.typeorm,
  typescript: versions.typescript,
};
const nest11 = {
  '@nestjs/common': '11.2.10',
  '@nestjs/core': '11.2.10',
  '@nestjs/testing': '11.2.6',
  '@nestjs/typeorm': '11.0.3',
  typeorm: '0.3.26',
  typescript: '5.9.3',
};
const applications = [
  { name: 'Nest 12, CommonJS', type: 'commonjs', dependencies: nest12 },
  { name: 'Nest 12, ESM', type: 'module', dependencies: nest12 },
  { name: 'Nest 11, TypeORM 0.3.26, TypeScript 5.9', type: 'commonjs', dependencies: nest11 },
];
const neededByApplications = ['core', 'nest', 'typeorm', 'transport-in-memory', 'transport-database', 'cli'].map(
  (name) => `@holdfast/${name}`,
);

const totals = { passed: 0, failed: 0, skipped: 0 };
const work = mkdtempSync(join(tmpdir(), 'holdfast-packages-'));
try {
  await main();
} finally {
  rmSync(work, { recursive: true, force: true });
}
const report = process.argv.find((argument) => argument.startsWith('--report='))?.slice('--report='.length);
if (report) {
  mkdirSync(dirname(report), { recursive: true });
  writeFileSync(report, JSON.stringify(totals));
}
console.log(`packed packages: ${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = totals.failed > 0 ? 1 : 0;

async function main() {
  const packages = publishablePackages();
  const tarballs = new Map(packages.filter(isWritten).map((directory) => [nameOf(directory), pack(directory)]));
  for (const directory of packages) {
    const name = nameOf(directory);
    const tarball = tarballs.get(name);
    check(`${name}: publint`, tarball && (() => run('node_modules/publint/src/cli.js', [tarball, '--strict'])));
    check(
      `${name}: are the types wrong`,
      tarball && (() => run('node_modules/@arethetypeswrong/cli/dist/index.js', [tarball, '--no-emoji', '--format', 'ascii'])),
    );
    check(`${name}: has a licence, a README and nothing of the build`, tarball && (() => hasTheRightFiles(tarball)));
  }
  if (neededByApplications.every((name) => tarballs.has(name))) await checkApplications(tarballs);
  else for (const { name } of applications) check(`application on ${name}`, undefined);
}

async function checkApplications(tarballs) {
  const { EmbeddedPostgres } = createRequire(join(root, 'tools/embedded-postgres/package.json'))('./dist/index.js');
  const postgres = await EmbeddedPostgres.start({ fsync: false });
  try {
    for (const [index, application] of applications.entries()) {
      const url = await postgres.createDatabase(`application_${index}`);
      const directory = join(work, `application-${index}`);
      check(`application on ${application.name}`, () => checkApplication(application, { directory, tarballs, url }));
    }
  } finally {
    await postgres.remove();
  }
}

function checkApplication({ type, dependencies }, { directory, tarballs, url }) {
  cpSync(join(here, 'fixtures/program'), directory, { recursive: true });
  const ours = Object.fromEntries(neededByApplications.map((name) => [name, `file:${tarballs.get(name)}`]));
  const shared = ['pg', 'reflect-metadata', 'rxjs', '@types/node'].map((name) => [name, versions[name]]);
  // As a script, the command is the one in node_modules/.bin, and nothing is looked up in the registry when it is not there.
  const scripts = { status: 'holdfast status --data-source dist/data-source.js' };
  const manifest = { private: true, type, scripts, dependencies: { ...dependencies, ...Object.fromEntries(shared), ...ours } };
  writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest, null, 2));
  const env = { ...process.env, DATABASE_URL: url, NODE_ENV: 'development' };
  // The answer is no before the program has made the tables, and yes after it.
  const holdfast = () => npm(['run', '--silent', 'status'], directory, env);
  return (
    npm(
      ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'],
      directory,
    ) === 0 &&
    run(join(directory, 'node_modules/typescript/bin/tsc'), ['-p', '.'], { cwd: directory }) &&
    told('holdfast status before the tables are made', holdfast(), 1) &&
    run('dist/main.js', [], { cwd: directory, env, timeout: 60_000 }) &&
    told('holdfast status after the tables are made', holdfast(), 0)
  );
}

/** `run`: what to do, `undefined` when the packages it needs are not written yet. */
function check(name, run) {
  const started = Date.now();
  const outcome = run === undefined ? 'skipped' : run() ? 'passed' : 'failed';
  totals[outcome]++;
  console.log(`${{ passed: '✓', failed: '✗', skipped: '–' }[outcome]} ${name} (${Date.now() - started} ms)`);
}

function run(program, args, options = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
  if (status !== 0) console.error(`${stdout}${stderr}`);
  return status === 0;
}

/** Whether a command ended with this exit code; says so if not. */
function told(what, code, wanted) {
  if (code !== wanted) console.error(`${what}: exit code ${code}, not ${wanted}`);
  return code === wanted;
}

function npm(args, cwd, env = process.env) {
  const windows = process.platform === 'win32';
  const { status } = spawnSync(windows ? 'npm.cmd' : 'npm', args, {
    cwd,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: windows,
    env: cleanNpmEnvironment(env),
  });
  return status;
}

/** `npm test` exports its own configuration (workspaces, prefix) to its children. */
function cleanNpmEnvironment(env = process.env) {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^npm_(config_(workspace|prefix|local_prefix|omit_lockfile)|package|lifecycle)/i.test(name)),
  );
}

function pack(directory) {
  const windows = process.platform === 'win32';
  const output = execFileSync(windows ? 'npm.cmd' : 'npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', work], {
    cwd: join(root, directory),
    encoding: 'utf8',
    shell: windows,
    env: cleanNpmEnvironment(),
  });
  const result = JSON.parse(output);
  const [{ filename }] = Array.isArray(result) ? result : Object.values(result);
  return join(work, basename(filename));
}

function hasTheRightFiles(tarball) {
  const list = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' });
  const missing = ['package/LICENSE', 'package/README.md'].filter((file) => !list.includes(file));
  const surplus = list.split('\n').filter((file) => /tsbuildinfo|\.spec\./.test(file));
  if (missing.length > 0) console.error(`missing in the tarball: ${missing.join(', ')}`);
  if (surplus.length > 0) console.error(`does not belong in the tarball: ${surplus.join(', ')}`);
  return missing.length + surplus.length === 0;
}

function publishablePackages() {
  return ['packages', 'packages/transports']
    .flatMap((parent) => readdirSync(join(root, parent)).map((name) => `${parent}/${name}`))
    .filter(
      (directory) =>
        existsSync(join(root, directory, 'package.json')) &&
        !JSON.parse(readFileSync(join(root, directory, 'package.json'), 'utf8')).private,
    );
}

function isWritten(directory) {
  const index = join(root, directory, 'src/index.ts');
  return existsSync(index) && readFileSync(index, 'utf8').trim() !== 'export {};' && existsSync(join(root, directory, 'dist/index.js'));
}

function nameOf(directory) {
  return JSON.parse(readFileSync(join(root, directory, 'package.json'), 'utf8')).name;
}
