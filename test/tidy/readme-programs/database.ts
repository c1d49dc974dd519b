import { HoldfastModule } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';

export const holdfast = HoldfastModule.forRoot({
  service: 'orders',
  transport: database(), // the only line that changes when a broker comes
  store: typeorm(),
});
