// docs/how-it-works.md
import { Holdfast, Message } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import type { DataSource } from 'typeorm';

@Message('order.shipped')
export class OrderShipped {
  constructor(readonly orderId: string) {}
}

export async function start(dataSource: DataSource): Promise<Holdfast> {
  const holdfast = new Holdfast({ service: 'mailer', transport: database(), store: typeorm({ dataSource }) }).on(
    OrderShipped,
    async ({ orderId }) => {
      await dataSource.query('insert into mail (order_id) values ($1)', [orderId]);
    },
    { name: 'mailer.tell', retry: 5, idempotent: true, transactional: true },
  );
  await holdfast.start();
  process.once('SIGTERM', () => void holdfast.stop({ timeout: '20s' }));
  return holdfast;
}
