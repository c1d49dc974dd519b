// One hybrid application on Express and on Fastify: HTTP requests that write, emit and ask, handlers of both kinds, on a real database.
import { Agent, get as httpGet, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createTestDatabase, type TestDatabase, eventually } from '@holdfast-internal/test-support';
import {
  Durable,
  HoldfastClientProxy,
  HoldfastModule,
  HoldfastRecord,
  HoldfastStrategy,
  Idempotent,
  MessageBus,
  Transactional,
} from '@holdfast/nest';
import { database as databaseTransport } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import {
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  type INestApplication,
  Inject,
  Injectable,
  Param,
  Post,
  UnprocessableEntityException,
} from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { InjectRepository } from '@nestjs/typeorm';
import { firstValueFrom } from 'rxjs';
import { DataSource, type Repository } from 'typeorm';
import { silent } from './support/recording-engine.js';
import { Charges, OrderPlaced, orm, ShopOrder } from './support/shop.js';

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

@Controller('orders')
class OrdersController {
  /** Lets the request that waits at its gate go on; undefined while none waits. */
  static open: (() => void) | undefined;

  constructor(
    @InjectRepository(ShopOrder) private readonly rows: Repository<ShopOrder>,
    @Inject(HoldfastClientProxy) private readonly client: HoldfastClientProxy,
    @Inject(MessageBus) private readonly bus: MessageBus,
  ) {}

  @Post(':id')
  @Transactional()
  async place(@Param('id') id: string): Promise<{ id: string }> {
    await this.rows.insert({ id });
    await pause(Math.random() * 10);
    this.client.emit('order.shipped', new HoldfastRecord({ id }, { key: id }));
    await this.bus.publish(new OrderPlaced(id), { key: id });
    if (id.endsWith('9')) throw new UnprocessableEntityException('changed its mind');
    return { id };
  }

  @Post(':id/slowly')
  @Transactional()
  async placeSlowly(@Param('id') id: string): Promise<void> {
    await this.rows.insert({ id });
    await new Promise<void>((resolve) => (OrdersController.open = resolve));
    await this.bus.publish(new OrderPlaced(id));
  }

  /** Without a transaction: refused, because a crash between the two would keep only one of them. */
  @Post(':id/carelessly')
  async placeCarelessly(@Param('id') id: string): Promise<void> {
    await this.rows.insert({ id });
    await this.bus.publish(new OrderPlaced(id));
  }

  @Post(':id/announced')
  async announce(@Param('id') id: string): Promise<void> {
    await this.bus.publish(new OrderPlaced(id));
  }

  @Get(':id/shipped')
  async shipped(@Param('id') id: string): Promise<{ shipped: boolean }> {
    return { shipped: await firstValueFrom(this.client.send<boolean>('order.is-shipped', id)) };
  }
}

@Controller()
class Shipping {
  constructor(@Inject(Charges) private readonly charges: Charges) {}

  @EventPattern<string>('order.shipped')
  @Durable({ name: 'shipping', ordering: 'key' })
  @Idempotent()
  @Transactional()
  async ship(@Payload('id') id: string): Promise<void> {
    await this.charges.rows.insert({ orderId: `shipped ${id}`, attempt: 1 });
  }

  @MessagePattern('order.is-shipped')
  async isShipped(@Payload() id: string): Promise<boolean> {
    return this.charges.rows.existsBy({ orderId: `shipped ${id}` });
  }
}

/** Guards all that comes in, and sees what it is. */
@Injectable()
class Seen implements CanActivate {
  readonly types = new Set<string>();
  canActivate(context: ExecutionContext): boolean {
    this.types.add(context.getType<string>());
    return true;
  }
}

describe.each<[string, () => AbstractHttpAdapter]>([
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter()],
])('on %s', (_name, adapter) => {
  let database: TestDatabase;
  /** Somebody else's look at the database. */
  let outside: DataSource;
  let app: INestApplication;
  let port: number;
  /** One connection, which all requests share that are made one after another. */
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });

  beforeEach(async () => {
    database = await createTestDatabase();
    outside = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    const holdfast = HoldfastModule.forRoot({
      service: 'shop',
      transport: databaseTransport(),
      store: typeorm(),
      outsideTransaction: 'throw',
    });
    const module = await Test.createTestingModule({
      imports: [...orm(database.url), holdfast],
      controllers: [OrdersController, Shipping],
      providers: [Charges, Seen],
    })
      .setLogger(silent)
      .compile();
    app = module.createNestApplication(adapter());
    app.useGlobalGuards(app.get(Seen));
    app.connectMicroservice({ strategy: app.get(HoldfastStrategy) }, { inheritAppConfig: true });
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    port = (app.getHttpServer().address() as AddressInfo).port;
  });
  afterEach(async () => {
    OrdersController.open?.();
    OrdersController.open = undefined;
    await app.close();
    await outside.destroy();
    await database.drop();
  });
  afterAll(() => agent.destroy());

  const send = (method: 'GET' | 'POST', path: string, through?: Agent) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const call = method === 'GET' ? httpGet : request;
      const sent = call({ host: '127.0.0.1', port, path, method, agent: through ?? false }, (response) => {
        let body = '';
        response.on('data', (chunk) => (body += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      });
      sent.on('error', reject).end();
    });
  const rows = async () => (await app.get(Charges).rows.find()).map(({ orderId }) => orderId).sort();

  it('requests at the same time have a transaction each, whose messages reach the handlers of both kinds or are gone with it', async () => {
    const ids = Array.from({ length: 30 }, (_, n) => `o-${n}`);
    const answers = await Promise.all(ids.map((id) => send('POST', `/orders/${id}`)));
    expect(answers.map(({ status }) => status)).toEqual(ids.map((id) => (id.endsWith('9') ? 422 : 201)));
    const placed = ids.filter((id) => !id.endsWith('9'));
    const wanted = [...placed, ...placed.map((id) => `shipped ${id}`)].sort();
    await eventually(async () => (await rows()).length >= wanted.length, Boolean);
    expect(await rows()).toEqual(wanted);
    expect([...app.get(Seen).types].sort()).toEqual(['holdfast', 'http', 'rpc']);
  });

  it('a request asks a handler of Nest and waits for its answer', async () => {
    await send('POST', '/orders/o-1');
    await eventually(async () => (await rows()).includes('shipped o-1'), Boolean);
    await expect(send('GET', '/orders/o-1/shipped')).resolves.toEqual({ status: 200, body: '{"shipped":true}' });
    await expect(send('GET', '/orders/o-2/shipped')).resolves.toEqual({ status: 200, body: '{"shipped":false}' });
  });

  it('a publish beside a write is refused in its own request, and not in the next one of the same connection', async () => {
    await expect(send('POST', '/orders/o-1/carelessly', agent)).resolves.toMatchObject({ status: 500 });
    await expect(send('POST', '/orders/o-2/announced', agent)).resolves.toMatchObject({ status: 201 });
    await eventually(async () => (await rows()).length === 1, Boolean);
    expect(await rows()).toEqual(['o-2']);
  });

  it('a request that is being answered while the application closes keeps its transaction, and its message waits in the log', async () => {
    const answer = send('POST', '/orders/o-1/slowly');
    await eventually(async () => OrdersController.open !== undefined, Boolean);
    const closed = app.close();
    await pause(100);
    OrdersController.open?.();
    await expect(answer).resolves.toMatchObject({ status: 201 });
    await closed;
    const left = await outside.query('select type from holdfast_outbox');
    expect(left).toEqual([{ type: 'shop.order-placed' }]);
  });
});
