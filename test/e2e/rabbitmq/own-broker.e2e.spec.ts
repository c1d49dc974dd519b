// What only a broker of one's own can do: take no message above a size, be short of memory, and hang.
import { describeWithOwnRabbit, eventually, EmbeddedRabbitmq } from '@holdfast-internal/test-support';
import { type EventName, type HoldfastEvents, subscribe } from '@holdfast/core';
import { numbers, OrderPlaced, Shop } from './support/shop.js';

const LARGEST_BYTES = 65_536;
const KEYS = ['a', 'b', 'c', 'd'];
const EACH = 50;
const TOO_LARGE = 1000;

describeWithOwnRabbit('a broker with limits', () => {
  let rabbit: EmbeddedRabbitmq;
  let shop: Shop;
  const stops: (() => void)[] = [];

  beforeAll(async () => {
    rabbit = await EmbeddedRabbitmq.start([`max_message_size = ${LARGEST_BYTES}`]);
  });
  afterAll(() => rabbit.remove());
  afterEach(async () => {
    for (const stop of stops.splice(0)) stop();
    await shop.close();
  });

  const hear = <Name extends EventName>(name: Name): HoldfastEvents[Name][] => {
    const heard: HoldfastEvents[Name][] = [];
    stops.push(subscribe(name, (payload) => heard.push(payload)));
    return heard;
  };

  it.each(['confirm', 'tx'] as const)(
    'closes its channel for a message that is too large, with 200 others on their way (%s): it is parked, they arrive once and in order, and it closes no other',
    async (publishMode) => {
      shop = await Shop.open({ url: rabbit.url, exchange: publishMode, publishMode });
      await shop.booking(undefined, { concurrency: 1 });
      const till = await shop.publishing();
      const failures = hear('poll:failed');
      const parkings = hear('message:parked');
      await till.unitOfWork.run({}, async () => {
        for (const n of numbers(EACH)) {
          for (const key of KEYS) await till.bus.publish(new OrderPlaced(n), { key });
          if (n === EACH / 2) await till.bus.publish(new OrderPlaced(TOO_LARGE, 'x'.repeat(LARGEST_BYTES)), { key: 'a' });
        }
      });
      const behind = EACH / 2;
      await eventually(
        () => shop.effects(),
        ({ length }) => length >= EACH * KEYS.length - behind,
      );
      const { items } = await eventually(
        () => till.outbox.parked({ limit: 1000 }),
        (page) => page.items.length > behind,
      );
      expect(items.map(({ message, reason }) => `${message.key} ${reason}`)).toEqual([
        'a rejected',
        ...numbers(behind).map(() => 'a behind'),
      ]);
      const [letter] = items;

      // It is tried again with what is behind it, and costs nobody a channel any more: one for each of the two processes that publish.
      const resent = async () => (await till.outbox.parked({ reason: 'rejected' })).items[0]?.attempts ?? 0;
      for (let attempts = await resent(), more = 0; more < 3; more += 1) {
        await till.outbox.resume({ type: 'shop.order-placed' }, { by: 'a test' });
        attempts = await eventually(resent, (now) => now > attempts);
      }
      const refusals = failures.filter(({ loop, error }) => loop === 'publishing' && /larger than/.test((error as Error).message));
      expect(refusals.length).toBeGreaterThan(0);
      expect(refusals.length).toBeLessThanOrEqual(shop.buses.length);
      expect(parkings.filter(({ reason }) => reason !== 'behind')).toHaveLength(1);

      await till.outbox.discard(letter?.id as string, { by: 'a test', reason: 'too large' });
      await eventually(
        () => shop.effects(),
        ({ length }) => length >= EACH * KEYS.length,
      );
      for (const key of KEYS) expect(await shop.effectsOf(key)).toEqual(numbers(EACH));
    },
  );

  it('is blocked while it has no memory left, as health says, and what was published meanwhile goes by itself when it has some again', async () => {
    shop = await Shop.open({ url: rabbit.url, exchange: 'alarm' });
    const bus = await shop.booking(undefined, { concurrency: 1 });
    await bus.bus.publish(new OrderPlaced(1), { key: 'k' });
    await eventually(
      () => shop.effects(),
      ({ length }) => length === 1,
    );
    expect(await bus.health()).toMatchObject({ status: 'up', transport: { status: 'up' } });
    rabbit.setMemoryAlarm(true);
    try {
      for (const n of numbers(20, 2)) await bus.bus.publish(new OrderPlaced(n), { key: 'k' });
      const blocked = await eventually(
        () => bus.health(),
        ({ transport }) => transport.status === 'blocked',
      );
      expect(blocked).toMatchObject({ status: 'degraded', transport: { problem: expect.stringMatching(/low on memory/) } });
      expect(blocked.problems.join()).toMatch(/^the transport rabbitmq takes no messages \(.*low on memory.*\)/);
      expect(await shop.effectsOf('k')).toEqual([1]);
    } finally {
      rabbit.setMemoryAlarm(false);
    }
    await eventually(
      () => bus.health(),
      ({ status }) => status === 'up',
    );
    await eventually(
      () => shop.effects(),
      ({ length }) => length >= 21,
    );
    expect(await shop.effectsOf('k')).toEqual(numbers(21));
  });

  it('is frozen: health says that it is gone, and what was published meanwhile is handled once and in order when it goes on', async () => {
    shop = await Shop.open({ url: rabbit.url, exchange: 'frozen', confirmTimeout: '2s' });
    const bus = await shop.booking(undefined, { concurrency: 1 });
    const publish = async (count: number, first: number) => {
      for (const n of numbers(count, first)) await bus.bus.publish(new OrderPlaced(n), { key: 'k' });
    };
    await publish(5, 1);
    await eventually(
      () => shop.effects(),
      ({ length }) => length >= 5,
    );
    rabbit.freeze();
    try {
      await publish(20, 6);
      const frozen = await eventually(
        () => bus.health(),
        ({ transport }) => transport.status === 'down',
      );
      expect(frozen.problems.join()).toContain('the transport rabbitmq');
      expect(await shop.effectsOf('k')).toEqual(numbers(5));
    } finally {
      rabbit.thaw();
    }
    await eventually(
      () => bus.health(),
      ({ status }) => status === 'up',
    );
    await eventually(
      () => shop.effects(),
      ({ length }) => length >= 25,
    );
    expect(await shop.effectsOf('k')).toEqual(numbers(25));
  });
});
