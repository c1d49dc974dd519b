import { describeWithRabbit, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import { breakOver } from './support/over-broker.js';
import { buildPrograms, killPrograms } from './support/program.js';

/** The broker and its clients give each other up after about two of them. */
const HEARTBEAT = '2s';

describeWithRabbit('over RabbitMQ', () => {
  let area: RabbitArea;
  beforeAll(async () => {
    buildPrograms();
    area = await openRabbit();
  });
  afterAll(async () => {
    await killPrograms();
    await area.drop();
  });

  breakOver(() => ({ broker: { url: area.url, exchange: area.name(), heartbeat: HEARTBEAT, partitions: 4 } }));
});
