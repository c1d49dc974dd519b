import { createTestDatabase, type TestDatabase, PATIENTLY } from '@holdfast-internal/test-support';
import { HoldfastModule, Message, MessageBus, OnMessage } from '@holdfast/nest';
import { HoldfastTesting } from '@holdfast/nest/testing';
import { kafka } from '@holdfast/transport-kafka';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { type INestApplication, Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';

@Message('shop.paid')
class Paid {
  constructor(readonly n: number) {}
}

@Message('shop.viewed', { destination: 'events:views' })
class Viewed {
  constructor(readonly n: number) {}
}

@Injectable()
class Desk {
  readonly seen: string[] = [];

  @OnMessage(Paid, { name: 'desk.paid' })
  async paid({ n }: Paid): Promise<void> {
    this.seen.push(`paid ${n}`);
  }

  @OnMessage(Viewed, { name: 'desk.viewed' })
  async viewed({ n }: Viewed): Promise<void> {
    this.seen.push(`viewed ${n}`);
  }
}

describe('an application with two transports under test', () => {
  let database: TestDatabase;
  let app: INestApplication;
  beforeAll(async () => {
    database = await createTestDatabase();
    const builder = Test.createTestingModule({
      imports: [
        TypeOrmModule.forRoot({ type: 'postgres', url: database.url, autoLoadEntities: true }),
        HoldfastModule.forRoot({
          service: 'shop',
          // Nobody is there: what is tested has neither.
          transports: { default: rabbitmq({ url: 'amqp://127.0.0.1:1' }), events: kafka({ brokers: ['127.0.0.1:1'] }) },
          store: typeorm(),
        }),
      ],
      providers: [Desk],
    });
    app = (await HoldfastTesting.inMemory(builder).compile()).createNestApplication();
    await app.init();
  });
  afterAll(async () => {
    await app?.close();
    await database.drop();
  });

  it('gets what is published and delivered over the one that each message names, and nothing over the other', async () => {
    const testing = app.get(HoldfastTesting);
    const bus = app.get(MessageBus);
    await bus.publish(new Viewed(1));
    await bus.publish(new Paid(1));
    await bus.publish(new Viewed(2), { destination: 'default:views' });
    await testing.deliver(new Viewed(3));
    await testing.deliver(new Paid(3));
    await testing.deliver(new Viewed(4), { destination: 'default:views' });
    await testing.settled(PATIENTLY);
    expect([...app.get(Desk).seen].sort()).toEqual(['paid 1', 'paid 3', 'viewed 1', 'viewed 3']);
    expect(testing.published(Viewed).map(({ message }) => message.n)).toEqual([1, 2]);
  });
});
