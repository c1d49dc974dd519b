import { HoldfastOutboxTransport } from '@holdfast/nest';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { broker } from '../broker.js';
import { NonRetryableMessageError } from '../outbox/contract.js';

/** Gives up before the relay does, so that an attempt that has failed sends nothing any more. */
const transport = rabbitmq({ url: broker.url, exchange: broker.exchange, confirmTimeout: '8s' });

export const HoldfastTransport = HoldfastOutboxTransport.with({
  service: 'orders',
  transport,
  nonRetryable: NonRetryableMessageError,
});
