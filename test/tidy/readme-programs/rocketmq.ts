import { HoldfastModule } from '@holdfast/nest';
import { rocketmq } from '@holdfast/transport-rocketmq';
import { typeorm } from '@holdfast/typeorm';

export const holdfast = HoldfastModule.forRoot({
  service: 'orders',
  transport: rocketmq({ endpoint: process.env.ROCKETMQ_ENDPOINT ?? 'localhost:8081' }),
  store: typeorm(),
});
