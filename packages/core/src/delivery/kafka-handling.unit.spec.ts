import { Holdfast } from '../holdfast.js';
import { hfError } from '../errors/catalogue.js';
import { NonRetryableError } from '../errors/non-retryable-error.js';
import { attributesOf, type Envelope } from '../message/envelope.js';
import { Command, Message, type StandardSchema } from '../message/message.js';
import { silentLogger } from '../monitoring/logger.js';
import type { HandOver, PublishOutcome, Sink, Transport, TransportCapabilities, TransportFactory } from '../transport/transport.port.js';
import type { Delivery } from './delivery.js';
import { HeldIntake } from './held-intake.js';
import type { BrokerTransaction, Incoming } from './intake.port.js';
import type { HandlerPolicies } from './subscription-options.js';

/** Numbers of views of which nobody says whether they are any, once for each time they are named. */
const unanswered: number[] = [];
const schema: StandardSchema<Viewed> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => {
      const at = unanswered.indexOf((value as Viewed).n);
      if (at === -1) return { value };
      unanswered.splice(at, 1);
      return new Promise(() => undefined);
    },
  },
};

@Message('page.viewed', { schema })
class Viewed {
  constructor(readonly n: number) {}
}

@Message('page.counted')
class Counted {
  constructor(readonly n: number) {}
}

@Message('page.ask')
class Ask extends Command<{ readonly answer: number }> {
  constructor(readonly n: number) {
    super();
  }
}

const CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: false,
  sharedSubscriptions: true,
  partitionedDelivery: true,
  fromEarliest: true,
  withoutStore: true,
  renamedSubscriptions: false,
  replies: true,
  fencedOffsets: true,
};
const KAFKA = { protocol: 'kafka' } as const;
const RETRY = { attempts: 2, backoff: { delay: 1, jitter: 'none' } } as const;

let places = 0;

/** A message as a broker hands it over. */
function incoming(type: string, data: object, { replyTo }: { replyTo?: string } = {}): Incoming {
  places += 1;
  const body = Buffer.from(JSON.stringify(data));
  const envelope: Envelope = {
    id: `m${places}`,
    source: 'web',
    type,
    version: 1,
    time: new Date(),
    headers: {},
    correlationId: 'c',
    kind: replyTo === undefined ? 'event' : 'command',
    replyTo,
    contentType: 'application/json',
    body,
  };
  const place = { place: `t/0/${places}`, lane: undefined, writtenAt: undefined, deliveryId: undefined };
  return { ...place, type, attributes: attributesOf(envelope), body, attempts: 0, isRedelivery: false, hasConsent: false };
}

/** A service over a broker that notes, in order, what is published by itself and what is in transactions. */
class Scene {
  readonly transcript: string[] = [];
  /** What the next transactions come to. */
  readonly outcomes: (Error | undefined)[] = [];
  readonly app: Holdfast;
  private sink: Sink | undefined;

  constructor(capabilities: TransportCapabilities = CAPABILITIES) {
    const transport = {
      capabilities,
      isBusy: false,
      health: { status: 'up', problem: undefined },
      start: async () => undefined,
      publish: async (batch: readonly Envelope[]) => {
        this.transcript.push(...batch.map((each) => `alone ${this.textOf(each)}`));
        return batch.map((): PublishOutcome => 'confirmed');
      },
      subscribe: async (_: unknown, sink: Sink) => {
        this.sink = sink;
      },
      openReplies: async () => 'replies',
      nudge: () => undefined,
      drain: async () => undefined,
      close: async () => undefined,
    } as Transport;
    const factory: TransportFactory = { transport: 'broker', capabilities, create: () => transport };
    this.app = new Holdfast({ service: 'analytics', transport: factory }, { logger: silentLogger });
  }

  async counting(handle: (event: Viewed, delivery: Delivery) => unknown, policies: Partial<HandlerPolicies<Viewed>> = {}): Promise<this> {
    this.app.on(Viewed, handle, { name: 'count', transactional: KAFKA, retry: RETRY, ...policies } as HandlerPolicies<Viewed>);
    await this.app.start();
    return this;
  }

  publish(n: number): Promise<unknown> {
    return this.app.bus.publish(new Counted(n));
  }

  /** Hands messages over, as often as it takes. */
  async handOver(...messages: readonly Incoming[]): Promise<readonly HandOver[]> {
    const left = new Set(messages);
    const held = messages.map((message) => ({
      incoming: message,
      isSuspect: false,
      get isOurs() {
        return left.has(message);
      },
      settle: () => undefined,
      putAway: async () => undefined,
    }));
    const transact = async (transaction: BrokerTransaction) => this.transact(transaction, left);
    const intake = Object.assign(new HeldIntake(held, 'broker'), { transact });
    const outcomes: HandOver[] = [];
    while (left.size > 0) outcomes.push((await this.sink?.handle(intake)) as HandOver);
    return outcomes;
  }

  views(...numbers: readonly number[]): Promise<readonly HandOver[]> {
    return this.handOver(...numbers.map((n) => incoming('page.viewed', { n })));
  }

  private async transact({ consumed, published, dead }: BrokerTransaction, left: Set<Incoming>): Promise<void> {
    const outcome = this.outcomes.shift();
    const facts = [
      ...published.map((each) => this.textOf(each)),
      ...dead.map(({ message, reason }) => `dead ${String(message.body)} after ${reason.attempts}: ${reason.failure.code}`),
    ];
    this.transcript.push(`${outcome === undefined ? 'commit' : 'undo'} ${consumed.length}: ${facts.join(', ')}`);
    if (outcome !== undefined) throw outcome;
    for (const message of consumed) left.delete(message);
  }

  private textOf({ type, body }: Envelope): string {
    return `${type} ${String(body)}`;
  }
}

describe('handling in transactions of the broker', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.app.stop());

  it('puts what the handlers publish into the transaction that consumes their messages, and nothing else', async () => {
    await scene.counting(({ n }) => scene.publish(n), { batchSize: 3 });
    await scene.publish(9);
    await scene.views(1, 2, 3, 4);
    expect(scene.transcript).toEqual([
      'alone page.counted {"n":9}',
      'commit 3: page.counted {"n":1}, page.counted {"n":2}, page.counted {"n":3}',
      'commit 1: page.counted {"n":4}',
    ]);
  });

  it.each([
    [2, 'page.counted {"n":2}'],
    [3, 'dead {"n":2} after 2: HF_HANDLER_TIMEOUT'],
  ])('a message whose schema does not answer %d times, in its batch and then alone, comes to its end: %s', async (times, end) => {
    unanswered.push(...Array(times).fill(2));
    await scene.counting(({ n }) => scene.publish(n), { batchSize: 3, timeout: 50 });
    await scene.views(1, 2, 3);
    expect(unanswered).toEqual([]);
    expect(scene.transcript).toEqual(['commit 1: page.counted {"n":1}', `commit 1: ${end}`, 'commit 1: page.counted {"n":3}']);
  });

  it('a batch that fails is handled one by one, and what is given up is dead in the transaction that consumes it', async () => {
    const handle = async ({ n }: Viewed) => {
      await scene.publish(n);
      if (n === 2) throw new Error('no');
    };
    await scene.counting(handle, { batchSize: 3 });
    await scene.views(1, 2, 3);
    expect(scene.transcript).toEqual([
      'commit 1: page.counted {"n":1}',
      'commit 1: dead {"n":2} after 2: Error',
      'commit 1: page.counted {"n":3}',
    ]);
  });

  it('what nobody can read is dead in the transaction of its batch', async () => {
    await scene.counting(({ n }) => scene.publish(n), { batchSize: 3 });
    await scene.handOver(incoming('page.viewed', { n: 1 }), { ...incoming('page.viewed', {}), body: Buffer.from('{') });
    expect(scene.transcript).toEqual(['commit 2: page.counted {"n":1}, dead { after 0: HF_MESSAGE_UNREADABLE']);
  });

  it('what the broker will not have is a failed attempt; that it has not committed is none', async () => {
    const attempts: number[] = [];
    await scene.counting(async ({ n }, { attempt }) => {
      attempts.push(attempt);
      await scene.publish(n);
    });
    const undone = hfError('HF_BROKER_TRANSACTION', { place: 'here', reason: 'it went away' });
    scene.outcomes.push(undone, undone, hfError('HF_PUBLISH_FAILED', { type: 't', id: 'i', outcome: 'rejected' }));
    expect(await scene.views(1)).toEqual(['blocked', 'blocked', 'worked']);
    expect(attempts).toEqual([1, 1, 1, 2]);
    expect(scene.transcript.at(-1)).toBe('commit 1: page.counted {"n":1}');
  });

  it('runs hooks as the end of the transaction asks for', async () => {
    const heard: string[] = [];
    await scene.counting(async ({ n }, { attempt }) => {
      const { unitOfWork } = scene.app;
      heard.push(`active ${unitOfWork.isActive}`);
      unitOfWork.beforeCommit(() => scene.publish(100 * n).then(() => undefined));
      unitOfWork.afterCommit(() => void heard.push(`committed, active ${unitOfWork.isActive}`));
      unitOfWork.afterRollback((error) => void heard.push(`undone: ${String(error)}`));
      if (attempt === 1) throw new Error('once more');
    });
    await scene.views(1);
    expect(heard).toEqual(['active true', 'undone: Error: once more', 'active true', 'committed, active undefined']);
    expect(scene.transcript).toEqual(['commit 1: page.counted {"n":100}']);
  });

  it('runs no hook when it does not know how it ended', async () => {
    const heard: string[] = [];
    await scene.counting(() => {
      scene.app.unitOfWork.afterCommit(() => void heard.push('committed'));
      scene.app.unitOfWork.afterRollback(() => void heard.push('undone'));
    });
    scene.outcomes.push(hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'broker' }));
    expect(await scene.views(1)).toEqual(['blocked', 'worked']);
    expect(heard).toEqual(['committed']);
  });

  it('counts the attempt of a handler that lets through that the outcome of another unit is unknown', async () => {
    const attempts: number[] = [];
    await scene.counting((_, { attempt }) => {
      attempts.push(attempt);
      if (attempts.length === 1) throw hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'default' });
    });
    expect(await scene.views(1)).toEqual(['worked']);
    expect(attempts).toEqual([1, 2]);
  });

  it('answers a request in the same transaction', async () => {
    scene.app.on(Ask, ({ n }) => ({ answer: 2 * n }), { name: 'ask', transactional: KAFKA });
    await scene.app.start();
    await scene.handOver(incoming('page.ask', { n: 21 }, { replyTo: 'there' }));
    expect(scene.transcript).toEqual([expect.stringMatching(/^commit 1: .*\{"answer":42\}$/)]);
  });

  it.each([
    [new NonRetryableError('no'), 1, 'NonRetryableError'],
    [new Error('no'), 2, 'Error'],
  ])('leaves out the answer to what was given up that the broker will not have: %s', async (error, attempts, code) => {
    const fail = () => {
      throw error;
    };
    scene.app.on(Ask, fail, { name: 'ask', transactional: KAFKA, retry: RETRY });
    await scene.app.start();
    scene.outcomes.push(hfError('HF_PUBLISH_FAILED', { type: 't', id: 'i', outcome: 'rejected' }));
    expect(await scene.handOver(incoming('page.ask', { n: 21 }, { replyTo: 'there' }))).toEqual(['worked']);
    expect(scene.transcript).toEqual([
      expect.stringMatching(/^undo 1: .*"message":"no"/),
      `commit 1: dead {"n":21} after ${attempts}: ${code}`,
    ]);
  });

  it('keeps the answer where it was the dead letter that the broker would not have', async () => {
    const fail = () => {
      throw new Error('no');
    };
    scene.app.on(Ask, fail, { name: 'ask', transactional: KAFKA, retry: RETRY });
    await scene.app.start();
    const refusal = () => hfError('HF_PUBLISH_FAILED', { type: 't', id: 'i', outcome: 'rejected' });
    scene.outcomes.push(refusal(), refusal());
    expect(await scene.handOver(incoming('page.ask', { n: 21 }, { replyTo: 'there' }))).toEqual(['worked']);
    expect(scene.transcript.at(-1)).toMatch(/^commit 1: .*"message":"no".*dead \{"n":21\} after 2: Error$/);
  });

  it('is undone at its time-out, and what its handler does later joins nothing', async () => {
    const late: unknown[] = [];
    await scene.counting(
      async ({ n }, { attempt, signal }) => {
        if (attempt === 1) await new Promise((resolve) => signal.addEventListener('abort', resolve));
        await scene.publish(n).catch((error: { code: string }) => late.push(error.code));
      },
      { transactional: { ...KAFKA, timeout: 50 } },
    );
    await scene.views(1);
    expect(late).toEqual(['HF_UOW_TIMEOUT']);
    expect(scene.transcript).toEqual(['commit 1: page.counted {"n":1}']);
  });

  it('refuses inside it what a database or a scheduler would have to keep, and says what to do', async () => {
    const refused: string[] = [];
    const codeOf = (call: Promise<unknown>) => call.catch((error: { code: string }) => refused.push(error.code));
    const repeated = scene.app.guard('pay', { retry: 1 }, async () => 1);
    await scene.counting(async ({ n }) => {
      const { bus, unitOfWork } = scene.app;
      await codeOf(bus.publish(new Counted(n), { delay: '1s' }));
      await codeOf(bus.request(new Ask(n)));
      await codeOf(unitOfWork.run(async () => undefined));
      await codeOf(unitOfWork.run(KAFKA, async () => undefined));
      await codeOf(unitOfWork.join({} as never, async () => undefined));
      await unitOfWork.detached(() => scene.publish(n));
      expect(await repeated()).toBe(1);
    });
    await scene.views(1);
    const mixed = 'HF_UOW_KAFKA_DATABASE';
    expect(refused).toEqual(['HF_CAPABILITY_UNSUPPORTED', 'HF_REQUEST_IN_TRANSACTION', mixed, mixed, mixed]);
    expect(scene.transcript).toEqual(['alone page.counted {"n":1}', 'commit 1: ']);
    expect(hfError(mixed, { call: 'x' }).message).toContain('@Idempotent() and @Transactional()');
  });

  it.each<[Partial<HandlerPolicies<Viewed>>, string]>([
    [{ idempotent: true }, '@Idempotent remembers in a database, which does not commit with'],
    [{ ordering: 'key', idempotent: true }, "ordering: 'key' is about what waits in a database"],
    [
      { transactional: { ...KAFKA, dataSource: 'x', isolation: 'SERIALIZABLE' } as never },
      'transactional.dataSource, transactional.isolation',
    ],
    [{ transactional: { ...KAFKA, timeout: '16m' } }, 'transactional.timeout is 16m'],
    [{ transactional: { protocol: 'kafak' } as never }, "transactional.protocol is kafak; use 'outbox', 'half-message' or 'kafka'"],
  ])('refuses at the start %j', async (policies, problem) => {
    await expect(scene.counting(() => undefined, policies)).rejects.toThrow(problem);
  });

  it('refuses at the start a broker that cannot shut out whoever had the place before, and a method that consumes nothing', async () => {
    const { fencedOffsets: _, ...weaker } = CAPABILITIES;
    const other = new Scene(weaker);
    other.app.guard('Reports.make', { transactional: KAFKA }, async () => 1);
    const starting = other.counting(() => undefined);
    await expect(starting).rejects.toThrow(
      "@Transactional({ protocol: 'kafka' }) is not possible with broker; use @Idempotent() and @Transactional()",
    );
    await expect(starting).rejects.toThrow(
      'Reports.make asks for a Kafka transaction, which begins with the message that a handler consumed',
    );
  });
});
