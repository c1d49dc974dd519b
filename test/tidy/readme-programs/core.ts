import { Holdfast, Message } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

@Message('order.placed')
class OrderPlaced {
  constructor(readonly orderId: string) {}
}

export async function main(): Promise<void> {
  const dataSource = await new DataSource({ type: 'postgres', url: process.env.DATABASE_URL }).initialize();
  const holdfast = new Holdfast({ service: 'orders', transport: database(), store: typeorm({ dataSource }) });
  const charge = ({ orderId }: OrderPlaced) => dataSource.query('insert into payment (order_id) values ($1)', [orderId]);
  holdfast.on(OrderPlaced, charge, { name: 'billing.charge', retry: 5, idempotent: true, transactional: true });
  await holdfast.start();

  await holdfast.unitOfWork.run(async () => {
    await dataSource.query('insert into "order" (id) values ($1)', ['1']);
    await holdfast.bus.publish(new OrderPlaced('1'), { key: '1' }); // leaves with the commit, or not at all
  });

  await holdfast.stop();
}
