import { HoldfastTesting } from '@holdfast/nest/testing';
import { Test } from '@nestjs/testing';
import { AppModule, Orders, OrderPlaced } from './nest.js';

export async function test(): Promise<void> {
  const app = await HoldfastTesting.inMemory(Test.createTestingModule({ imports: [AppModule] })).compile();
  await app.init();
  const testing = app.get(HoldfastTesting);

  const { id } = await app.get(Orders).place(20);
  console.log(testing.published(OrderPlaced)); // [{ message: { orderId: id, total: 20 }, options: { key: id } }], committed ones only
  await testing.deliver(new OrderPlaced(id, 20)); // as another service would
  await testing.clock.advance('10m'); // retries, delays and time-outs on the way, without sleeping
  await testing.settled();
  console.log(await testing.deadLetters('billing.charge')); // []

  await app.close();
}
