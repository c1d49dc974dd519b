// outsideTransaction as an application meets it: a row is saved, a message is published, and nothing keeps the two together.
import { Agent, createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createTestDatabase, type TestDatabase, eventually } from '@holdfast-internal/test-support';
import { DeadLetters, HoldfastModule, type HoldfastOptions, MessageBus, OnMessage, Retry, Transactional, UnitOfWork } from '@holdfast/nest';
import { database as databaseTransport } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Controller, type INestApplication, Inject, Injectable, Param, Post } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { InjectRepository } from '@nestjs/typeorm';
import { DataSource, Repository } from 'typeorm';
import { silent } from '../../nest/support/recording-engine.js';
import { OrderPlaced, orm, ShopOrder } from '../../nest/support/shop.js';

let next = 0;
const newId = () => `o-${++next}`;

@Injectable()
class Orders {
  constructor(
    @InjectRepository(ShopOrder) private readonly rows: Repository<ShopOrder>,
    @Inject(MessageBus) private readonly bus: MessageBus,
    @Inject(DataSource) private readonly dataSource: DataSource,
    @Inject(UnitOfWork) private readonly unit: UnitOfWork,
  ) {}

  async write(): Promise<void> {
    await this.rows.insert({ id: newId() });
  }

  async announce(): Promise<void> {
    await this.bus.publish(new OrderPlaced(newId()));
  }

  async beside(): Promise<void> {
    await this.rows.save({ id: newId() });
    await this.bus.publish(new OrderPlaced(newId()));
  }

  async besideDeeper(): Promise<void> {
    await this.write();
    await new Promise((resolve) => setTimeout(resolve, 5));
    await this.announce();
  }

  async inTransactionOfTypeorm(): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await manager.insert(ShopOrder, { id: newId() });
      await this.bus.publish(new OrderPlaced(newId()));
    });
  }

  @Transactional()
  async together(): Promise<void> {
    await this.beside();
  }

  async joined(): Promise<void> {
    await this.dataSource.transaction((manager) => this.unit.join(manager, () => this.beside()));
  }

  async afterUnit(): Promise<void> {
    await this.together();
    await this.announce();
  }

  async afterFailedWrite(): Promise<void> {
    const id = newId();
    await this.unit.run(() => this.rows.insert({ id }));
    await this.rows.insert({ id }).catch(() => this.announce());
  }

  async apart(): Promise<void> {
    await this.write();
    await this.unit.detached(() => this.announce());
  }
}

type Method = Exclude<keyof Orders, 'constructor'>;

@Controller()
class Door {
  constructor(@Inject(Orders) private readonly orders: Orders) {}

  @Post(':method')
  async call(@Param('method') method: Method): Promise<{ code?: string; message?: string }> {
    return outcomeOf(() => this.orders[method]());
  }
}

/** Handlers outside any transaction, of one subscription. */
@Injectable()
class Clerk {
  constructor(@Inject(Orders) private readonly orders: Orders) {}

  readonly seen: string[] = [];

  @OnMessage(OrderPlaced, { name: 'clerk.file' })
  @Retry(1)
  async file({ orderId }: OrderPlaced): Promise<void> {
    const [method] = orderId.split(' ') as [Method];
    if (!(method in this.orders)) return;
    this.seen.push(orderId);
    await this.orders[method]();
  }
}

async function outcomeOf(work: () => Promise<void>): Promise<{ code?: string; message?: string }> {
  try {
    await work();
    return {};
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return { code, message };
  }
}

interface Scene {
  readonly app: INestApplication;
  readonly orders: Orders;
  readonly warnings: string[];
  request(method: Method): Promise<{ code?: string; message?: string }>;
  close(): Promise<void>;
}

async function open(outsideTransaction: HoldfastOptions['outsideTransaction']): Promise<Scene> {
  const database: TestDatabase = await createTestDatabase();
  const warnings: string[] = [];
  const warn = (text: string) => void (text.includes('is published after a write') && warnings.push(text));
  const options: HoldfastOptions = { service: 'shop', transport: databaseTransport(), store: typeorm(), outsideTransaction };
  const module = await Test.createTestingModule({
    imports: [...orm(database.url), HoldfastModule.forRoot(options)],
    controllers: [Door],
    providers: [Orders, Clerk],
  })
    .setLogger({ ...silent, warn })
    .compile();
  const app = module.createNestApplication();
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  return {
    app,
    orders: app.get(Orders),
    warnings,
    request: async (method) => (await fetch(`${url}/${method}`, { method: 'POST' })).json() as Promise<{ code?: string }>,
    close: async () => {
      await app.close();
      await database.drop();
    },
  };
}

const BESIDE: readonly Method[] = ['beside', 'besideDeeper', 'inTransactionOfTypeorm'];
const FINE: readonly Method[] = ['announce', 'together', 'joined', 'afterUnit', 'afterFailedWrite', 'apart'];

/** What a plain server answers to these paths, one after another over one connection. */
async function overOneConnection(orders: Orders, methods: readonly Method[]): Promise<unknown[]> {
  const server: Server = createServer((request, response) => {
    const method = (request.url ?? '').slice(1) as Method;
    outcomeOf(() => orders[method]()).then((outcome) => response.end(JSON.stringify(outcome)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { port } = server.address() as AddressInfo;
  const ask = (method: Method) =>
    new Promise<unknown>((resolve, reject) => {
      get({ host: '127.0.0.1', port, path: `/${method}`, agent }, (response) => {
        let text = '';
        response.on('data', (chunk) => (text += String(chunk))).on('end', () => resolve(JSON.parse(text)));
      }).on('error', reject);
    });
  const answers: unknown[] = [];
  for (const method of methods) answers.push(await ask(method));
  agent.destroy();
  await new Promise((resolve) => server.close(resolve));
  return answers;
}

/** A worker of somebody else: one job after another in a context that is nobody's. */
function inOneLoop(jobs: readonly (() => Promise<void>)[]): Promise<unknown[]> {
  return new Promise((resolve) => {
    setTimeout(async () => {
      const outcomes: unknown[] = [];
      for (const job of jobs) outcomes.push(await outcomeOf(job));
      resolve(outcomes);
    });
  });
}

describe("outsideTransaction: 'throw'", () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await open('throw');
  });
  afterAll(() => scene.close());
  afterEach(() => void scene.warnings.splice(0));

  it.each(BESIDE)('refuses a publish beside a write in one request, and names the fix: %s', async (method) => {
    const place = method === 'besideDeeper' ? 'Orders.announce' : method === 'beside' ? 'Orders.beside' : 'publish-beside-write';
    expect(await scene.request(method)).toEqual({
      code: 'HF_OUTSIDE_TRANSACTION',
      message: expect.stringMatching(
        new RegExp(
          `^shop\\.order-placed was published outside any unit of work, after a write: .*${place}.*\\. Put @Transactional\\(\\) on`,
        ),
      ),
    });
    expect(scene.warnings).toEqual([]);
  });

  it.each(FINE)('does not mind: %s', async (method) => {
    expect(await scene.request(method)).toEqual({});
    expect(scene.warnings).toEqual([]);
  });

  it('does not mind a write in one request and a publish in the next one of the same connection', async () => {
    expect(await overOneConnection(scene.orders, ['write', 'announce', 'beside', 'announce'])).toMatchObject([
      {},
      {},
      { code: 'HF_OUTSIDE_TRANSACTION' },
      {},
    ]);
    expect(scene.warnings).toEqual([]);
  });

  it('does not mind what was written before the server began to listen', async () => {
    const inContextOfWrite = new Promise<unknown>((resolve) => {
      setTimeout(async () => {
        await scene.orders.write();
        resolve(overOneConnection(scene.orders, ['announce']));
      });
    });
    expect(await inContextOfWrite).toEqual([{}]);
    expect(scene.warnings).toEqual([]);
  });

  it('only warns in a loop that nobody told it about: the write may be of another job', async () => {
    const { orders } = scene;
    expect(await inOneLoop([() => orders.write(), () => orders.announce(), () => orders.announce()])).toEqual([{}, {}, {}]);
    expect(scene.warnings).toHaveLength(1);
  });

  it('refuses in such a loop what runs in detached(), and nothing else', async () => {
    const { orders, app } = scene;
    const unit = app.get(UnitOfWork);
    const jobs = (['write', 'announce', 'beside'] as const).map((method) => () => unit.detached(() => orders[method]()));
    expect(await inOneLoop(jobs)).toMatchObject([{}, {}, { code: 'HF_OUTSIDE_TRANSACTION' }]);
    expect(scene.warnings).toEqual([]);
  });

  it('knows the deliveries of a handler outside any transaction from each other', async () => {
    const bus = scene.app.get(MessageBus);
    const { seen } = scene.app.get(Clerk);
    for (const id of ['write 1', 'announce 2', 'beside 3', 'announce 4']) await bus.publish(new OrderPlaced(id));
    await eventually(() => seen.includes('announce 4'), Boolean);
    await eventually(async () => (await scene.app.get(DeadLetters).list({})).items.length > 0, Boolean);
    const { items } = await scene.app.get(DeadLetters).list({});
    expect(items.map(({ error, body }) => [error.code, JSON.parse(Buffer.from(body).toString()).orderId])).toEqual([
      ['HF_OUTSIDE_TRANSACTION', 'beside 3'],
    ]);
    expect(scene.warnings).toEqual([]);
  });
});

describe("outsideTransaction: 'warn', the default", () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await open(undefined);
  });
  afterAll(() => scene.close());

  it('publishes, and tells once for each place that does it', async () => {
    for (const method of [...BESIDE, ...BESIDE]) expect(await scene.request(method)).toEqual({});
    expect(scene.warnings).toHaveLength(BESIDE.length);
    expect(scene.warnings[0]).toMatch(/Put both in a @Transactional method.* type=shop\.order-placed site=Orders\.beside /);
    await scene.request('beside');
    for (const method of FINE) await scene.request(method);
    expect(scene.warnings).toHaveLength(BESIDE.length);
  });
});

it("outsideTransaction: 'allow' says nothing", async () => {
  const scene = await open('allow');
  for (const method of BESIDE) expect(await scene.request(method)).toEqual({});
  expect(scene.warnings).toEqual([]);
  await scene.close();
});
