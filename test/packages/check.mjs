// What users get: packs every package, looks at the tarballs, installs them into empty applications outside the
// repository (where Node finds nothing else), compiles and runs one message through. `--report=<file>` gets the counts.
import { execFile } from 'node:child_process';
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
/** The oldest that the packages say they work with. */
const oldest = {
  ...nest11,
  '@nestjs/common': '11.0.1',
  '@nestjs/core': '11.0.1',
  '@nestjs/testing': '11.0.1',
  '@nestjs/typeorm': '11.0.0',
};
const handlers12 = {
  '@nestjs/microservices': versions['@nestjs/microservices'],
  '@nestjs/platform-express': versions['@nestjs/platform-express'],
};
const handlers11 = { '@nestjs/microservices': '11.2.6', '@nestjs/platform-express': '11.2.10' };
// `program`: what to run instead of `program/main.ts`. Those without it have no @nestjs/microservices, which is optional.
const applications = [
  { name: 'Nest 12, CommonJS', type: 'commonjs', dependencies: nest12 },
  { name: 'Nest 12, ESM', type: 'module', dependencies: nest12 },
  { name: 'Nest 11, TypeORM 0.3.26, TypeScript 5.9', type: 'commonjs', dependencies: nest11 },
  { name: 'Nest 11.0.1', type: 'commonjs', dependencies: oldest },
  { name: 'Nest 12, ESM, handlers of Nest', type: 'module', dependencies: { ...nest12, ...handlers12 }, program: 'nest-handlers' },
  { name: 'Nest 11, handlers of Nest', type: 'commonjs', dependencies: { ...nest11, ...handlers11 }, program: 'nest-handlers' },
];
const transports = ['in-memory', 'database', 'rabbitmq', 'kafka', 'rocketmq'].map((name) => `transport-${name}`);
const neededByApplications = ['core', 'nest', 'typeorm', ...transports, 'cli'].map((name) => `@holdfast/${name}`);

const totals = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const work = mkdtempSync(join(tmpdir(), 'holdfast-packages-'));
try {
  await main();
} finally {
  rmSync(work, { recursive: true, force: true });
}
const report = process.argv.find((argument) => argument.startsWith('--report='))?.slice('--report='.length);
if (report) {
  mkdirSync(dirname(report), { recursive: true });
  writeFileSync(report, JSON.stringify({ ...totals, failures }));
}
console.log(`packed packages: ${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = totals.failed > 0 ? 1 : 0;

async function main() {
  const packages = publishablePackages();
  const tarballs = await pack(packages.filter(isWritten));
  await sideBySide(packages, async (directory) => {
    const name = nameOf(directory);
    const tarball = tarballs.get(name);
    await check(`${name}: publint`, tarball && (() => run('node_modules/publint/src/cli.js', [tarball, '--strict'])));
    await check(
      `${name}: are the types wrong`,
      tarball && (() => run('node_modules/@arethetypeswrong/cli/dist/index.js', [tarball, '--no-emoji', '--format', 'ascii'])),
    );
    await check(`${name}: has a licence, a README and nothing of the build`, tarball && (() => hasTheRightFiles(tarball)));
  });
  if (neededByApplications.every((name) => tarballs.has(name))) await checkApplications(tarballs);
  else for (const { name } of applications) await check(`application on ${name}`, undefined);
}

/** Two at a time: most of what is checked keeps one core busy. */
async function sideBySide(all, work) {
  const next = all.values();
  const worker = async () => {
    for (const each of next) await work(each);
  };
  await Promise.all([worker(), worker()]);
}

async function checkApplications(tarballs) {
  const { EmbeddedPostgres } = createRequire(join(root, 'tools/embedded-postgres/package.json'))('./dist/index.js');
  const postgres = await EmbeddedPostgres.start({ fsync: false });
  try {
    await sideBySide([...applications.entries()], async ([index, application]) => {
      const url = await postgres.createDatabase(`application_${index}`);
      const directory = join(work, `application-${index}`);
      await check(`application on ${application.name}`, () => checkApplication(application, { directory, tarballs, url }));
    });
  } finally {
    await postgres.remove();
  }
}

async function checkApplication({ type, dependencies, program }, { directory, tarballs, url }) {
  cpSync(join(here, 'fixtures/program'), directory, { recursive: true });
  if (program) cpSync(join(here, 'fixtures', program), directory, { recursive: true });
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
    (await npm(
      ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'],
      directory,
    )) === 0 &&
    (await run(join(directory, 'node_modules/typescript/bin/tsc'), ['-p', '.'], { cwd: directory })) &&
    told('holdfast status before the tables are made', await holdfast(), 1) &&
    (await run('dist/main.js', [], { cwd: directory, env, timeout: 60_000 })) &&
    told('holdfast status after the tables are made', await holdfast(), 0)
  );
}

/** `run`: what to do, `undefined` when the packages it needs are not written yet. */
async function check(name, run) {
  const started = Date.now();
  const outcome = run === undefined ? 'skipped' : (await run()) ? 'passed' : 'failed';
  totals[outcome]++;
  if (outcome === 'failed') failures.push(name);
  console.log(`${{ passed: '✓', failed: '✗', skipped: '–' }[outcome]} ${name} (${Date.now() - started} ms)`);
}

async function run(program, args, options = {}) {
  const { code, stdout, stderr } = await end(process.execPath, [program, ...args], options);
  if (code !== 0) console.error(`${stdout}${stderr}`);
  return code === 0;
}

/** How a command ended, and what it said. */
function end(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = execFile(command, args, { cwd: root, maxBuffer: 2 ** 26, ...options }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), stdout, stderr }),
    );
    child.stdin?.end();
  });
}

/** Whether a command ended with this exit code; says so if not. */
function told(what, code, wanted) {
  if (code !== wanted) console.error(`${what}: exit code ${code}, not ${wanted}`);
  return code === wanted;
}

async function npm(args, cwd, env) {
  const { code, stderr } = await endOfNpm(args, { cwd, env });
  if (stderr !== '') console.error(stderr);
  return code;
}

function endOfNpm(args, { cwd, env }) {
  const windows = process.platform === 'win32';
  return end(windows ? 'npm.cmd' : 'npm', args, { cwd, shell: windows, env: cleanNpmEnvironment(env) });
}

/** `npm test` exports its own configuration (workspaces, prefix) to its children. */
function cleanNpmEnvironment(env = process.env) {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^npm_(config_(workspace|prefix|local_prefix|omit_lockfile)|package|lifecycle)/i.test(name)),
  );
}

/** All in one go: to start npm is most of the work. */
async function pack(directories) {
  const places = directories.map((directory) => `./${directory}`);
  const { code, stdout, stderr } = await endOfNpm(['pack', '--json', '--ignore-scripts', '--pack-destination', work, ...places], {
    cwd: root,
  });
  if (code !== 0) throw new Error(`npm pack: ${stdout}${stderr}`);
  // An array, or an object by name, as the version of npm has it.
  return new Map(Object.values(JSON.parse(stdout)).map(({ name, filename }) => [name, join(work, basename(filename))]));
}

async function hasTheRightFiles(tarball) {
  const { code, stdout: list } = await end('tar', ['-tzf', tarball]);
  const missing = ['package/LICENSE', 'package/README.md'].filter((file) => !list.includes(file));
  const surplus = list.split('\n').filter((file) => /tsbuildinfo|\.spec\./.test(file));
  if (missing.length > 0) console.error(`missing in the tarball: ${missing.join(', ')}`);
  if (surplus.length > 0) console.error(`does not belong in the tarball: ${surplus.join(', ')}`);
  return code === 0 && missing.length + surplus.length === 0;
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
