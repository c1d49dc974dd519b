// Pages are viewed, counters count them in Kafka transactions, and one counter is killed in the middle.
import 'reflect-metadata';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { EmbeddedKafka, missingTools } from '@holdfast-internal/embedded-kafka';
import { NestFactory } from '@nestjs/core';
import { AnalyticsModule, WebModule } from './modules.js';
import { Report } from './report.js';

const VIEWS = 400;

async function startCounter(): Promise<ChildProcess> {
  const child = fork(__filename, ['counter']);
  await once(child, 'message');
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function play(): Promise<{ readonly counted: number; readonly twice: number }> {
  const app = await NestFactory.createApplicationContext(WebModule, { logger: ['fatal', 'error'] });
  const report = app.get(Report);
  const first = await startCounter();
  await report.view(0, VIEWS / 2);
  await report.until(20);
  console.log('1. A process counts, and is killed while it does (kill -9).');
  const more = report.view(VIEWS / 2, VIEWS);
  await kill(first);
  await more;
  const second = await startCounter();
  console.log('2. Another one has its partitions now, and goes on where it had committed.');
  await report.until(VIEWS);
  console.log(`3. Who reads what was counted sees each view once: ${report.hosts()}.`);
  const { pages, twice } = report;
  await kill(second);
  await app.close();
  return { counted: pages.size, twice };
}

async function main(): Promise<void> {
  console.log('Holdfast: Kafka transactions. Two services and a Kafka, no database.\n');
  const missing = process.env.KAFKA_BROKERS === undefined ? missingTools() : undefined;
  if (missing !== undefined) {
    console.log(`This sample needs a Kafka, and none can be started: ${missing}. Install Java and Maven, or set KAFKA_BROKERS.`);
    process.exitCode = 1;
    return;
  }
  const broker = process.env.KAFKA_BROKERS === undefined ? await EmbeddedKafka.start() : undefined;
  try {
    process.env.KAFKA_BROKERS ??= broker?.address;
    process.env.KAFKA_PREFIX ??= `holdfast-sample-${process.pid}-${Date.now().toString(36)}.`;
    const { counted, twice } = await play();
    console.log(`\nviews=${VIEWS} counted=${counted} twice=${twice}`);
    process.exitCode = counted === VIEWS && twice === 0 ? 0 : 1;
  } finally {
    await broker?.remove();
  }
}

async function count(): Promise<void> {
  await NestFactory.createApplicationContext(AnalyticsModule, { logger: ['fatal', 'error'] });
  process.send?.('ready');
}

const work = process.argv[2] === 'counter' ? count() : main();
work.catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
