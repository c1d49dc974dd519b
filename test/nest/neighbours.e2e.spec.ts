// A service with Nest's own handlers has moved to Holdfast; those that send to it use Nest's own ClientProxy, from outside.
import {
  createTestDatabase,
  describeWithRabbit,
  openRabbit,
  type RabbitArea,
  type TestDatabase,
  eventually,
} from '@holdfast-internal/test-support';
import {
  DeadLetters,
  Durable,
  fromClientProxy,
  HoldfastContext,
  HoldfastModule,
  HoldfastStrategy,
  Idempotent,
  Retry,
  Transactional,
} from '@holdfast/nest';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { Controller, type INestApplication } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { silent } from './support/recording-engine.js';

const handled: string[] = [];

@Controller()
class Warehouse {
  @EventPattern<object>([{ event: 'counted' }, 'stock.counted'])
  @Durable({ name: 'warehouse.count' })
  @Retry({ attempts: 2, backoff: { delay: '20ms' } })
  @Idempotent()
  @Transactional()
  async count(@Payload() pieces: unknown, @Ctx() context: HoldfastContext): Promise<void> {
    const { id, attempt } = context.getDelivery();
    if (pieces === 13 && attempt === 1) throw new Error('a bad number');
    handled.push(`${id.length > 20 ? 'new' : id} ${JSON.stringify(pieces)}`);
  }

  @MessagePattern({ cmd: 'take' })
  async take(@Payload() sku: string): Promise<void> {
    handled.push(`take ${sku}`);
  }
}

describeWithRabbit("Nest's own handlers under HoldfastStrategy, and Nest's own clients", () => {
  let area: RabbitArea;
  let database: TestDatabase;
  let app: INestApplication;

  beforeAll(async () => {
    area = await openRabbit();
    database = await createTestDatabase();
    const names = { exchange: area.name(), counts: area.name(), takes: area.name() };
    await area.as(async (admin) => {
      await admin.assertQueue(names.counts);
      await admin.assertQueue(names.takes);
    });
    const foreign = [
      { subscription: 'warehouse.count', queue: names.counts },
      { subscription: '{"cmd":"take"}', queue: names.takes },
    ];
    const holdfast = HoldfastModule.forRoot({
      service: 'warehouse',
      transport: rabbitmq({ url: area.url, exchange: names.exchange, foreign }),
      store: typeorm(),
      readForeign: fromClientProxy({ source: 'shop' }),
    });
    const imports = [TypeOrmModule.forRoot({ type: 'postgres', url: database.url, poolSize: 8 }), holdfast];
    const module = await Test.createTestingModule({ imports, controllers: [Warehouse] })
      .setLogger(silent)
      .compile();
    app = module.createNestApplication();
    app.connectMicroservice({ strategy: app.get(HoldfastStrategy) });
    await app.startAllMicroservices();
    await app.init();
    await area.as(async (admin) => {
      const send = (queue: string, content: unknown) => admin.sendToQueue(queue, Buffer.from(JSON.stringify(content)));
      for (const _repeat of [1, 2]) send(names.counts, { pattern: 'stock.counted', data: 13, id: 'r-1' });
      send(names.counts, { pattern: { event: 'counted' }, data: [1, 'a'] });
      send(names.counts, { pattern: 'stock.unknown', data: 1, id: 'r-2' });
      send(names.takes, { pattern: { cmd: 'take' }, data: 'sku-1', id: 'r-3' });
      await admin.checkQueue(names.counts);
    });
  });
  afterAll(async () => {
    await app?.close();
    await database.drop();
    await area.drop();
  });

  it('handle what is emitted and sent, whatever JSON it is, with retries and one effect; what no handler knows is parked', async () => {
    await eventually(async () => handled.length >= 3, Boolean);
    const letters = async () => (await app.get(DeadLetters).list()).items;
    await eventually(async () => (await letters()).length > 0, Boolean);
    expect([...handled].sort()).toEqual(['new [1,"a"]', 'r-1 13', 'take sku-1']);
    expect(await letters()).toMatchObject([
      { subscription: 'warehouse.count', error: { code: 'HF_MESSAGE_UNKNOWN_TYPE' }, message: { id: 'r-2', source: 'shop' } },
    ]);
  });
});
