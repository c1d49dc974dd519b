import { HoldfastModule } from '@holdfast/nest';
import { kafka } from '@holdfast/transport-kafka';
import { typeorm } from '@holdfast/typeorm';

export const holdfast = HoldfastModule.forRoot({
  service: 'orders',
  transport: kafka({ brokers: (process.env.KAFKA_BROKERS ?? '127.0.0.1:9092').split(',') }),
  store: typeorm(),
});
