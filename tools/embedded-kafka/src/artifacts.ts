import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

/** The Kafka that is started. */
const VERSION = '4.3.1';
/** A first resolve fetches some hundred megabytes. */
const PATIENCE_MS = 600_000;

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>holdfast</groupId>
  <artifactId>embedded-kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`;

/** Why no Kafka can be started on this machine; undefined when one can. */
export function missingTools(): string | undefined {
  if (!isInPath('java')) return 'no java in the path';
  return existsSync(libraryFolder()) || isInPath('mvn') ? undefined : 'no mvn in the path to fetch Kafka with';
}

/**
 * The folder with Kafka's jars: fetched once with Maven, then kept in the user's cache. Several processes may do that at the same time; the first one
 * that is done gives the folder its name, and the others throw theirs away.
 */
export async function findArtifacts(): Promise<string> {
  const library = libraryFolder();
  if (existsSync(library)) return library;
  mkdirSync(cacheFolder(), { recursive: true });
  const workshop = mkdtempSync(join(cacheFolder(), 'resolving-'));
  try {
    writeFileSync(join(workshop, 'pom.xml'), POM);
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

function libraryFolder(): string {
  return join(cacheFolder(), `kafka-${VERSION}`);
}

function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'holdfast');
}

function isInPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
}
