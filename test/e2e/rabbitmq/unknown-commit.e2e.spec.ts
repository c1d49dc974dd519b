// COMMITs over a broker whose outcome this process is not told: the inbox tells it afterwards.
import { describeWithRabbit, eventually, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import type { Holdfast } from '@holdfast/core';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { loseAnswerToCommitOf } from '../support/lost-answer.js';
import { letters, openScene, OrderPlaced, type Scene } from '../bad-input/support/scene.js';

const RETRY = { attempts: 3, backoff: { strategy: 'fixed', delay: 10 } } as const;

describeWithRabbit('a COMMIT over RabbitMQ whose outcome is unknown', () => {
  let area: RabbitArea;
  let scene: Scene;
  let queues: string[];
  let handled: string[];

  beforeAll(async () => {
    area = await openRabbit();
  });
  afterAll(() => area.drop());
  beforeEach(async () => {
    handled = [];
    queues = [];
    scene = await openScene();
    await scene.look('create table paid (id text)');
    await scene.look('create table fatal (id text)');
    await scene.look(
      'create function die() returns trigger language plpgsql as $$ begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$',
    );
    await scene.look(
      'create constraint trigger die after insert on fatal deferrable initially deferred for each row execute function die()',
    );
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await scene.close();
    await area.clear(queues);
  });

  const paid = async () => (await scene.look<{ id: string }>('select id from paid order by id')).map(({ id }) => id);

  async function start(idempotent: boolean, batchSize: number): Promise<Holdfast> {
    const exchange = area.name();
    queues.push(`${exchange}/billing.charge`, `${exchange}:dead/billing.charge`);
    const pays = async ({ orderId }: OrderPlaced) => {
      handled.push(orderId);
      await scene.look('insert into paid values ($1)', [orderId]);
      if (orderId === 'fatal') await scene.look(`insert into fatal values ('x')`);
    };
    const bus = scene
      .bus({ transport: rabbitmq({ url: area.url, exchange }) })
      .on(OrderPlaced, pays, { name: 'billing.charge', transactional: true, idempotent, batchSize, retry: RETRY });
    await bus.start();
    return bus;
  }

  const place = (bus: Holdfast, ...ids: readonly string[]) =>
    bus.unitOfWork.run(async () => {
      for (const id of ids) await bus.bus.publish(new OrderPlaced(id, 1), { key: id });
    });

  it.each([
    [true, 1],
    [false, 1],
    [true, 10],
  ])('because it ends its session, costs an attempt: idempotent %p, in batches of %i', async (idempotent, batchSize) => {
    const bus = await start(idempotent, batchSize);
    await place(bus, 'fatal', 'one', 'two');
    const [letter] = await eventually(
      () => letters(bus),
      ({ length }) => length > 0,
    );
    expect(letter).toMatchObject({ attempts: 3, message: { key: 'fatal' } });
    await eventually(paid, ({ length }) => length === 2);
    expect(await paid()).toEqual(['one', 'two']);
  });

  it('but which came through, has no second effect where the message is remembered', async () => {
    const bus = await start(true, 1);
    const lost = loseAnswerToCommitOf('paid');
    await place(bus, 'one');
    await eventually(lost, (times) => times === 1);
    await place(bus, 'two');
    await eventually(paid, (ids) => ids.includes('two'));
    expect(await paid()).toEqual(['one', 'two']);
    expect(handled).toEqual(['one', 'two']);
    expect(await scene.look('select 1 from holdfast_delivery')).toEqual([]);
  });
});
