import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { printable } from '@holdfast/core';
import { describe } from './report.js';
import { UsageError } from './usage-error.js';

/** The part of TypeORM's DataSource that is needed here; the class itself is the user's. */
export interface DataSourceLike {
  readonly isInitialized: boolean;
  readonly driver: { readonly database?: string };
  setOptions(options: object): unknown;
  initialize(): Promise<unknown>;
  destroy(): Promise<void>;
}

/** A DataSource and where it was found. */
export interface FoundDataSource {
  /** Absolute. */
  readonly file: string;
  readonly dataSource: DataSourceLike;
}

/** Longest path in a message, in characters. */
const PATH_LENGTH = 1000;

// TypeORM's own mark, so that any copy of it is recognised.
const MARK = Symbol.for('DataSource');

/**
 * Loads the user's file and takes its DataSource: the default export, a named one, or the promise of one, as TypeORM's own command line does.
 *
 * @throws UsageError when there is no such file, it cannot be loaded, or it does not export exactly one DataSource
 */
export async function loadDataSource(name: string, cwd: string): Promise<FoundDataSource> {
  const file = resolve(cwd, name);
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) {
    throw new UsageError(`There is no file ${pathText(file)}.`, 'Give the path of the file that exports your DataSource.');
  }
  const found = await dataSourcesOf(await load(file));
  const [dataSource] = found.keys();
  if (dataSource === undefined) {
    throw new UsageError(`${pathText(file)} exports no DataSource.`, 'Export it: export const dataSource = new DataSource({ … }).');
  }
  if (found.size > 1) {
    throw new UsageError(
      `${pathText(file)} exports ${found.size} DataSources: ${printable([...found.values()].join(', '))}.`,
      'Make a file that exports only the one with the holdfast tables.',
    );
  }
  return { file, dataSource };
}

/** A path as it may stand in a message. */
export function pathText(path: string): string {
  return printable(path, PATH_LENGTH);
}

async function load(file: string): Promise<unknown> {
  const require = createRequire(file);
  try {
    return await import(pathToFileURL(file).href);
  } catch (error) {
    const isUnknownExtension = (error as { code?: string }).code === 'ERR_UNKNOWN_FILE_EXTENSION';
    // Compilers that hook into require only (ts-node, @swc-node) have registered the extension there.
    if (isUnknownExtension && extname(file) in require.extensions) return require(file);
    throw new UsageError(
      `${pathText(file)} could not be loaded: ${describe(error)}.`,
      isUnknownExtension ? COMPILE : `Try it alone: node ${pathText(file)}`,
    );
  }
}

const COMPILE = `This Node.js (${process.versions.node}) reads no TypeScript: give the compiled file, or load a compiler with NODE_OPTIONS="--import tsx".`;

/** Each DataSource once, with the name of its first export. */
async function dataSourcesOf(exports: unknown): Promise<ReadonlyMap<DataSourceLike, string>> {
  const found = new Map<DataSourceLike, string>();
  const own = entriesOf(exports);
  // The exports of a CommonJS module are the default export of its namespace.
  const ofDefault = own.filter(([name, value]) => name === 'default' && !isDataSource(value)).flatMap(([, value]) => entriesOf(value));
  for (const [name, value] of [...own, ...ofDefault]) {
    const awaited = await value;
    if (isDataSource(awaited) && !found.has(awaited)) found.set(awaited, name);
  }
  return found;
}

function entriesOf(exports: unknown): [string, unknown][] {
  return typeof exports === 'object' && exports !== null && !(exports instanceof Promise) ? Object.entries(exports) : [];
}

function isDataSource(value: unknown): value is DataSourceLike {
  return typeof value === 'object' && value !== null && (value as { '@instanceof'?: unknown })['@instanceof'] === MARK;
}
