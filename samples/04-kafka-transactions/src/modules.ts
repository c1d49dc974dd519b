import { HoldfastModule } from '@holdfast/nest';
import { kafka } from '@holdfast/transport-kafka';
import { Module } from '@nestjs/common';
import { PageCounter } from './page-counter.js';
import { Report } from './report.js';

const transport = () =>
  kafka({ brokers: (process.env.KAFKA_BROKERS ?? '').split(','), prefix: process.env.KAFKA_PREFIX, partitions: 4, sessionTimeout: '6s' });

/** Counts, in a process of its own. */
@Module({
  imports: [HoldfastModule.forRootAsync({ useFactory: () => ({ service: 'analytics', transport: transport() }) })],
  providers: [PageCounter],
})
export class AnalyticsModule {}

/** Publishes views, and reads what was counted. */
@Module({
  imports: [HoldfastModule.forRootAsync({ useFactory: () => ({ service: 'web', transport: transport() }) })],
  providers: [Report],
})
export class WebModule {}
