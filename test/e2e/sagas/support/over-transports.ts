import { describeWithRabbit, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import type { TransportFactory } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { rabbitmq } from '@holdfast/transport-rabbitmq';

/** One suite over the database, and over RabbitMQ: `over` makes a transport of its own place. */
export function overTransports(suite: (over: () => () => TransportFactory, isRabbit: boolean) => void): void {
  describe('over the database', () => suite(() => () => database(), false));
  describeWithRabbit('over RabbitMQ', () => {
    let area: RabbitArea;
    const queues: string[] = [];
    beforeAll(async () => {
      area = await openRabbit();
    });
    afterAll(() => area.drop(queues));
    suite(() => {
      const exchange = area.name();
      queues.push(`${exchange}/cards/cards.charge`, `${exchange}/cards/cards.refund`);
      return () => rabbitmq({ url: area.url, exchange });
    }, true);
  });
}
