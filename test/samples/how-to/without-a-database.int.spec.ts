import { describeWithRabbit, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import { NestFactory } from '@nestjs/core';

describeWithRabbit('the code of the page without a database', () => {
  let area: RabbitArea;
  const queues = ['holdfast/reports/reports.render', 'holdfast/reports:dead/reports.render'];
  beforeAll(async () => {
    area = await openRabbit();
    process.env.RABBITMQ_URL = area.url;
  });
  afterAll(() => area.drop(queues));

  it('renders a report, and leaves one that cannot be rendered in the dead-letter queue', async () => {
    const { ReportDesk, Renderer, ReportsModule, ReportRequested } = await import('./without-a-database.js');
    const { MessageBus } = await import('@holdfast/nest');
    const app = await NestFactory.createApplicationContext(ReportsModule, { logger: false });
    await app.init();
    await app.get(MessageBus).publish(new ReportRequested(''), { id: 'nameless' });
    await app.get(ReportDesk).request('r-1');
    while (!app.get(Renderer).rendered.has('r-1')) await new Promise((resolve) => setTimeout(resolve, 20));
    let letter: unknown = false;
    while (letter === false) letter = await area.as((admin) => admin.get(queues[1] as string, { noAck: true }));
    expect(letter).toMatchObject({
      properties: {
        headers: { 'cloudEvents:id': 'nameless', 'holdfast-dead-reason': 'a report needs an id', 'holdfast-dead-attempts': 3 },
      },
    });
    await app.close();
  });
});
