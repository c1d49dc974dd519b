import type { TransportFactory } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { kafka } from '@holdfast/transport-kafka';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import type { ProgramOptions } from './options.js';
import { spool } from './spool-transport.js';

/** What messages of a program go over; nothing: the database. */
export type Carrier = Pick<ProgramOptions, 'transport' | 'broker' | 'kafka' | 'rocketmq'>;

/** The transport of a program that has one. */
export async function transportOf({
  url,
  transport = 'database',
  broker,
  ...options
}: Carrier & { readonly url: string }): Promise<TransportFactory> {
  if (broker !== undefined) return rabbitmq(broker);
  if (options.kafka !== undefined) return kafka(options.kafka);
  // Its client takes a while to load, which programs that do not need it would wait for.
  if (options.rocketmq !== undefined) return (await import('@holdfast/transport-rocketmq')).rocketmq(options.rocketmq);
  return transport === 'spool' ? spool(url) : database();
}
