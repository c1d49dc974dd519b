import type { HoldfastOptions, TransportFactory } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import type { ProgramOptions } from './options.js';
import { spool } from './spool-transport.js';

/** What messages of a program go over; nothing: the database. */
export type Carrier = Pick<ProgramOptions, 'transport' | 'broker' | 'kafka' | 'rocketmq'>;

type Carriers = { readonly transport: TransportFactory } | { readonly transports: NonNullable<HoldfastOptions['transports']> };

/** With both RabbitMQ and Kafka there are two transports. */
export async function carriersOf(options: Carrier & { readonly url: string }): Promise<Carriers> {
  const { broker, kafka } = options;
  if (broker === undefined || kafka === undefined) return { transport: await transportOf(options) };
  return { transports: { default: await overRabbitmq(broker), events: await overKafka(kafka) } };
}

/** The transport of a program that has one. */
export async function transportOf({
  url,
  transport = 'database',
  broker,
  ...options
}: Carrier & { readonly url: string }): Promise<TransportFactory> {
  if (broker !== undefined) return overRabbitmq(broker);
  if (options.kafka !== undefined) return overKafka(options.kafka);
  if (options.rocketmq !== undefined) return (await import('@holdfast/transport-rocketmq')).rocketmq(options.rocketmq);
  return transport === 'spool' ? spool(url) : database();
}

// Clients of brokers take a good part of a start to load, which programs that do not need them would wait for.

async function overRabbitmq(options: NonNullable<Carrier['broker']>): Promise<TransportFactory> {
  return (await import('@holdfast/transport-rabbitmq')).rabbitmq(options);
}

async function overKafka(options: NonNullable<Carrier['kafka']>): Promise<TransportFactory> {
  return (await import('@holdfast/transport-kafka')).kafka(options);
}
