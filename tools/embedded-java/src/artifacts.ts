import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

/** A first resolve fetches some hundred megabytes. */
const PATIENCE_MS = 600_000;

/** What a server is made of. */
export interface Artifacts {
  /** Of the server, for the folder and for people. */
  readonly name: string;
  readonly version: string;
  /** `group:artifact:version` of each; what these need comes with them. */
  readonly needed: readonly string[];
}

/** Why such a server cannot be started on this machine; undefined when it can. */
export function missingTools(artifacts: Artifacts): string | undefined {
  if (!isInPath('java')) return 'no java in the path';
  return existsSync(libraryFolder(artifacts)) || isInPath('mvn') ? undefined : `no mvn in the path to fetch ${artifacts.name} with`;
}

/**
 * The folder with the server's jars: fetched once with Maven, then kept in the user's cache. Several processes may do that at the same time; the first
 * one that is done gives the folder its name, and the others throw theirs away.
 */
export async function findArtifacts(artifacts: Artifacts): Promise<string> {
  const library = libraryFolder(artifacts);
  if (existsSync(library)) return library;
  mkdirSync(cacheFolder(), { recursive: true });
  const workshop = mkdtempSync(join(cacheFolder(), 'resolving-'));
  try {
    writeFileSync(join(workshop, 'pom.xml'), pomOf(artifacts));
    const args = ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=lib'];
    await promisify(execFile)('mvn', args, { cwd: workshop, timeout: PATIENCE_MS });
    renameSync(join(workshop, 'lib'), library);
  } catch (error) {
    if (!existsSync(library)) throw error;
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
  return library;
}

function pomOf({ name, needed }: Artifacts): string {
  const dependencies = needed.map((each) => {
    const [group, artifact, version] = each.split(':');
    return `    <dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>\n`;
  });
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>holdfast</groupId>
  <artifactId>embedded-${name.toLowerCase()}</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
${dependencies.join('')}  </dependencies>
</project>
`;
}

/** Where they are, or will be. */
export function libraryFolder({ name, version }: Artifacts): string {
  return join(cacheFolder(), `${name.toLowerCase()}-${version}`);
}

function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'holdfast');
}

function isInPath(program: string): boolean {
  return findInPath(program) !== undefined;
}

/** The file that is run when a program is called by its name. */
export function findInPath(program: string): string | undefined {
  const places = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, program));
  return places.find((place) => existsSync(place));
}
