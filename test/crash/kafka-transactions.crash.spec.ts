// Processes that count in Kafka transactions die, freeze and lose their partitions at every step: each view is counted once, and nothing that was undone is read.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describeWithKafka, type KafkaArea, openKafka, PATIENCE_MS } from '@holdfast-internal/test-support';
import { Pages } from '../e2e/kafka/support/pages.js';
import { numbers } from '../e2e/support/shop.js';
import type { CountingLine, CountingOptions } from './programs/counting.js';
import { DEATHS_IN_KAFKA } from './support/deaths.js';
import { buildPrograms } from './support/program.js';

/** A counting process, and what it said. */
class Counter {
  readonly lines: CountingLine[] = [];
  readonly ended: Promise<unknown>;
  private readonly child: ChildProcess;

  constructor(options: CountingOptions, failpoint = '') {
    const program = join(__dirname, 'programs', '.build', 'counting.js');
    const env = { ...process.env, CRASH_OPTIONS: JSON.stringify(options), HOLDFAST_FAILPOINT: failpoint };
    this.child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', (line) =>
      this.lines.push(JSON.parse(line) as CountingLine),
    );
    this.ended = once(this.child, 'close');
  }

  async said(isSaid: (line: CountingLine) => boolean, times = 1): Promise<void> {
    for (const end = Date.now() + PATIENCE_MS; this.lines.filter(isSaid).length < times; ) {
      if (Date.now() > end) throw new Error(`it last said ${JSON.stringify(this.lines.slice(-5))}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

const isReady = ({ e }: CountingLine) => e === 'ready';
const isCalled = ({ e }: CountingLine) => e === 'called';

describeWithKafka('processes that count in Kafka transactions', () => {
  let area: KafkaArea;
  let pages: Pages;
  let counters: Counter[];
  beforeAll(async () => {
    buildPrograms();
    area = await openKafka();
  });
  afterAll(() => area?.clear());
  beforeEach(() => {
    pages = new Pages(area);
    counters = [];
  });
  afterEach(async () => {
    await Promise.all(counters.map((counter) => counter.kill()));
    await pages.close();
  });

  const counter = (options: Partial<CountingOptions> = {}, failpoint?: string): Counter => {
    const transport = { ...pages.transport, sessionTimeout: Math.max(1500, area.sessionMs) };
    const made = new Counter({ transport, ...options }, failpoint);
    counters.push(made);
    return made;
  };

  it.each([1, 4])('that are killed at any step have counted each view once (batches of %i)', async (batchSize) => {
    await counter({ batchSize }).said(isReady);
    await counters[0]?.kill();
    for (const [index, at] of DEATHS_IN_KAFKA.entries()) {
      const dying = counter({ batchSize }, `${at}=kill@3`);
      await pages.view(20, { from: 1 + 20 * index });
      await dying.ended;
    }
    counter({ batchSize });
    const count = 20 * DEATHS_IN_KAFKA.length;
    expect(await pages.counted(count)).toEqual(numbers(count));
    await pages.untilCommitted(count);
  });

  it('and end with the same message are counted beside its offset, until one of them has handled it', async () => {
    pages.partitions = 1;
    await counter({ batchSize: 4 }).said(isReady);
    await counters[0]?.kill();
    await pages.view(10);
    for (let times = 0; times < 3; times += 1) {
      const dying = counter({ batchSize: 4, handlerMs: 60_000 });
      await dying.said(isCalled);
      expect(await pages.note()).toMatch(`in hand, returned ${times} times`);
      // A batch, then halves of it.
      await dying.said(isCalled, Math.max(1, 4 >> times));
      await dying.kill();
    }
    counter({ batchSize: 4 });
    expect(await pages.counted(10)).toEqual(numbers(10));
    expect(await pages.note()).not.toMatch('in hand');
  });

  it('cannot commit what they had begun when somebody else has taken over meanwhile', async () => {
    await counter().said(isReady);
    await counters[0]?.kill();
    // The first one in each partition notes what is in hand, before a handler is called.
    const frozen = counter({}, `broker:after-offsets=stop@${pages.partitions + 3}`);
    await frozen.said(isReady);
    await pages.view(10);
    await frozen.said(isCalled, 3);
    const next = counter();
    expect(await pages.counted(10)).toEqual(numbers(10));
    frozen.signal('SIGCONT');
    await frozen.said((line) => line.e === 'warned' && /was not committed|nobody here knows which/.test(line.error));
    await pages.view(20, { from: 11 });
    expect(await pages.counted(30)).toEqual(numbers(30));
    expect(next.lines.some(isCalled)).toBe(true);
  });

  it('and come and go in the midst of handlers', async () => {
    const [first] = [counter({ handlerMs: 400 })];
    await first.said(isReady);
    await pages.view(24);
    await first.said(isCalled, 3);
    const second = counter({ handlerMs: 400 });
    await second.said(isReady);
    // On a slow machine the first one has handled all of them by now.
    await pages.view(24, { from: 25 });
    await second.said(isCalled);
    const third = counter({ handlerMs: 100 });
    await third.said(isReady);
    second.signal('SIGTERM');
    expect(await pages.counted(48)).toEqual(numbers(48));
    await pages.untilCommitted(48);
  });
});
