// A cluster of Kafka loses the brokers that lead, one after another, under load: nothing is lost, nothing happens twice, and the order within a key holds.
import {
  describeWithOwnKafka,
  EmbeddedKafka,
  eventually,
  type KafkaArea,
  kafkaAreaAt,
  kafkaDriver,
  pause,
} from '@holdfast-internal/test-support';
import type { Delivery, Holdfast } from '@holdfast/core';
import { kafka, type KafkaOptions } from '@holdfast/transport-kafka';
import { PageCounted, Pages, PageViewed } from '../e2e/kafka/support/pages.js';
import { expectAll, hasGrown, Load } from '../e2e/support/load.js';
import { numbers, Shop } from '../e2e/support/shop.js';

const KEYS = ['page 0', 'page 1', 'page 2', 'page 3', 'page 4'];
const keyOf = (n: number) => `page ${n % KEYS.length}`;
/** Views between two losses. */
const ROUND = 60;

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describeWithOwnKafka('a cluster of Kafka whose leaders are killed', () => {
  let brokers: readonly EmbeddedKafka[];
  let area: KafkaArea;
  beforeAll(async () => {
    brokers = await EmbeddedKafka.startCluster(3);
    area = kafkaAreaAt(brokers[0]?.address as string);
  });
  afterAll(() => Promise.all((brokers ?? []).map((broker) => broker.remove())));

  const options = (): KafkaOptions => ({
    brokers: brokers.map(({ address }) => address),
    driver: kafkaDriver(),
    prefix: area.name(),
    partitions: 3,
    sessionTimeout: '3s',
    requestTimeout: '5s',
    confirmTimeout: '10s',
    startTimeout: '90s',
  });

  /** The broker that leads the first partition of a topic now. */
  async function leaderOf(topic: string): Promise<EmbeddedKafka> {
    const { topics } = await area.as((admin) => admin.fetchTopicMetadata({ topics: [topic] }));
    return brokers[(topics[0]?.partitions.find(({ partitionId }) => partitionId === 0)?.leader ?? 0) - 1] as EmbeddedKafka;
  }

  /** Kills who leads each of these, and lets it come back after something was done without it. */
  async function loseLeadersOf(
    topics: readonly string[],
    { before, without }: { readonly before?: () => Promise<unknown>; readonly without: () => Promise<unknown> },
  ): Promise<void> {
    for (const topic of topics) {
      await before?.();
      const leader = await leaderOf(topic);
      await leader.kill();
      await without();
      await leader.start();
    }
  }

  it('has had each order booked once, in the order of its key', async () => {
    const transport = options();
    const shop = await Shop.over(() => kafka(transport));
    try {
      for (let processes = 0; processes < 2; processes += 1) await shop.booking(undefined, { ordering: 'key', concurrency: 4 });
      const load = new Load(shop, await shop.publishing());
      const grown = () => hasGrown(shop);
      await grown();
      await loseLeadersOf([`${transport.prefix}shop.order-placed`], { without: grown });
      await load.stop();
      await expectAll(shop, load);
    } finally {
      await shop.close();
    }
  });

  it('has had each view counted once in Kafka transactions, in the order of its key', async () => {
    const transport = options();
    const pages = new Pages(area);
    const app = (service: string) => pages.app({ service }, transport);
    const handled = new Set<number>();
    let isLost = deferred();
    const count = async ({ n }: PageViewed, { attempt, key }: Delivery, { bus }: Holdfast) => {
      // So that there is something in hand when the leader is killed.
      await isLost.promise;
      handled.add(n);
      await bus.publish(new PageCounted(n, attempt), { key: String(key) });
    };
    try {
      const web = app('web');
      await web.start();
      let views = 0;
      const view = async () => {
        isLost = deferred();
        // While nobody is missing: what is not confirmed would be published anew, and be another view.
        for (const n of numbers(ROUND, views + 1)) await web.bus.publish(new PageViewed(n), { key: keyOf(n) });
        views += ROUND;
      };
      await view();
      isLost.resolve();
      for (let processes = 0; processes < 2; processes += 1) await pages.counting(count, { batchSize: 5 }, app('analytics'));
      await loseLeadersOf([`${transport.prefix}page.viewed`, '__consumer_offsets', '__transaction_state'], {
        before: view,
        without: () => {
          isLost.resolve();
          return eventually(
            () => handled.size,
            (size) => size === views,
          );
        },
      });
      const counted = new Map<string, PageCounted & { readonly key: string | undefined }>();
      const auditor = app('auditor');
      auditor.on(PageCounted, (event, { id, key }) => void counted.set(id, { ...event, key }), {
        name: 'audit',
        from: 'earliest',
        concurrency: 1,
      });
      await auditor.start();
      await eventually(
        () => new Set([...counted.values()].map(({ n }) => n)).size,
        (size) => size === views,
      );
      await pause(1000);
      for (const key of KEYS) {
        const ofKey = [...counted.values()].filter((each) => each.key === key).map(({ n }) => n);
        expect(ofKey).toEqual(numbers(views).filter((n) => keyOf(n) === key));
      }
    } finally {
      await pages.close();
    }
  });
});
