import { HoldfastModule } from '@holdfast/nest';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';

export const holdfast = HoldfastModule.forRoot({
  service: 'orders',
  transport: rabbitmq({ url: process.env.RABBITMQ_URL ?? 'amqp://guest:guest@127.0.0.1:5672' }),
  store: typeorm(),
});
