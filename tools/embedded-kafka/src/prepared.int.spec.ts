import { execFile } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  classPathOf,
  findArtifacts,
  findPrepared,
  keepArchive,
  type Preparation,
  recordingFlags,
  sharingFlags,
} from '@holdfast-internal/embedded-java';
import { describeWithOwnKafka } from '@holdfast-internal/test-support';
import { KAFKA } from './embedded-kafka.js';
import { copyFormatted } from './formatted.js';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-prepared-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describeWithOwnKafka('an archive of classes', () => {
  const setup = async () => ({ flags: ['-XX:+UseSerialGC'], classPath: classPathOf(await findArtifacts(KAFKA)) });

  /** Where a small program of Kafka takes its own class from. */
  async function sourceWith(flags: readonly string[]): Promise<string | undefined> {
    const { flags: usual, classPath } = await setup();
    const program = ['-Xlog:class+load', '-cp', classPath, 'kafka.tools.StorageTool', 'random-uuid'];
    const { stdout } = await promisify(execFile)('java', [...usual, ...flags, ...program], { cwd: folder, maxBuffer: 2 ** 26 });
    return / kafka\.tools\.StorageTool source: (.*)/.exec(stdout)?.[1];
  }

  it('is used when it is whole, and not when a part of it is missing', async () => {
    expect(await sourceWith(recordingFlags(folder))).toContain('.jar');
    expect(sharingFlags(folder)).toEqual([]);
    await keepArchive(folder, await setup());
    expect(await sourceWith(sharingFlags(folder))).toBe('shared objects file (top)');
    const archive = join(folder, readdirSync(folder)[0] as string);
    // Java makes it for reading alone.
    chmodSync(archive, 0o600);
    truncateSync(archive, 1_000_000);
    expect(await sourceWith(sharingFlags(folder))).toContain('.jar');
  });

  it('is not kept when Java does not take it', async () => {
    writeFileSync(join(folder, 'recorded.jsa'), 'half of it');
    await expect(keepArchive(folder, await setup())).rejects.toThrow();
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('what is prepared', () => {
  const cacheBefore = process.env.XDG_CACHE_HOME;
  const preparation: Preparation = {
    artifacts: { name: 'Nothing', version: '1', needed: [] },
    setup: { flags: [], classPath: '' },
    prepare: async (workshop) => writeFileSync(join(workshop, 'made'), ''),
  };
  const places = () => readdirSync(join(folder, 'holdfast'));

  beforeEach(() => {
    mkdirSync(join(folder, 'holdfast'));
    process.env.XDG_CACHE_HOME = folder;
  });

  afterEach(() => {
    if (cacheBefore === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = cacheBefore;
  });

  it('is made once, and who comes meanwhile goes without', async () => {
    const prepare = jest.fn(preparation.prepare);
    const find = () => findPrepared({ ...preparation, prepare });
    const [first, meanwhile] = await Promise.all([find(), find()]);
    expect([readdirSync(first as string), meanwhile]).toEqual([['made'], undefined]);
    expect(await find()).toBe(first);
    expect(prepare).toHaveBeenCalledTimes(1);
  });

  it('is made anew for other flags', async () => {
    const others = { ...preparation, setup: { ...preparation.setup, flags: ['-Xint'] } };
    expect(await findPrepared(preparation)).not.toBe(await findPrepared(others));
  });

  it('leaves nothing when making it fails', async () => {
    const prepare = async () => {
      throw new Error('a full disk');
    };
    expect(await findPrepared({ ...preparation, prepare })).toBeUndefined();
    expect(places()).toEqual([]);
  });

  it('is made by the next one when who was at it has died', async () => {
    const { folder: made } = await abandoned();
    expect(await findPrepared(preparation)).toBe(made);
    expect(existsSync(join(made, 'half'))).toBe(false);
  });

  it('is done without in a cache that cannot be written', async () => {
    rmSync(join(folder, 'holdfast'), { recursive: true });
    writeFileSync(join(folder, 'holdfast'), 'a file where a folder belongs');
    expect(await findPrepared(preparation)).toBeUndefined();
  });

  /** What a process leaves that is killed while it prepares, long ago. */
  async function abandoned(): Promise<{ folder: string }> {
    const made = (await findPrepared(preparation)) as string;
    rmSync(made, { recursive: true });
    const workshop = `${made}-making`;
    mkdirSync(workshop);
    writeFileSync(join(workshop, 'half'), '');
    expect(await findPrepared(preparation)).toBeUndefined();
    utimesSync(workshop, 0, 0);
    return { folder: made };
  }
});

describe('a formatted folder', () => {
  it('gets the id of its node and one of its own, and is otherwise as it was formatted', () => {
    const source = join(folder, 'source');
    mkdirSync(source);
    const text = 'node.id=1\ndirectory.id=vXyTEmlfBs6PeeUPO5hzgg\nversion=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\n';
    writeFileSync(join(source, 'meta.properties'), text);
    writeFileSync(join(source, 'bootstrap.checkpoint'), 'features');
    const ids = [1, 2, 3].map((id) => {
      const target = join(folder, `${id}`);
      expect(copyFormatted(source, target, { id })).toBe(true);
      expect(readFileSync(join(target, 'bootstrap.checkpoint'), 'utf8')).toBe('features');
      const [node, directory, ...others] = readFileSync(join(target, 'meta.properties'), 'utf8').split('\n');
      expect([node, ...others]).toEqual([`node.id=${id}`, ...text.split('\n').slice(2)]);
      return directory;
    });
    expect(ids).toEqual(ids.map(() => expect.stringMatching(/^directory\.id=[\w-]{22}$/)));
    expect(new Set([...ids, text.split('\n')[1]]).size).toBe(4);
  });

  it.each([undefined, '', 'node.id=1\n'])('is not copied where its properties are not whole: %j', (text) => {
    const [source, target] = [join(folder, 'source'), join(folder, 'target')];
    mkdirSync(source);
    if (text !== undefined) writeFileSync(join(source, 'meta.properties'), text);
    expect(copyFormatted(source, target, { id: 1 })).toBe(false);
    expect(existsSync(target)).toBe(false);
  });
});
