import { randomUUID } from 'node:crypto';
import { createDelivery, type Delivery } from '@holdfast/core';

/** A time-out that no test waits for. */
const DEADLINE_MS = 30_000;

/** A delivery for calling a handler by hand; what is not given is made up. */
export function testDelivery(fields: Partial<Delivery> = {}): Delivery {
  const { id = randomUUID(), source = 'test', type = 'test', version = 1, time = new Date(), headers = {} } = fields;
  const { key, causationId, sagaId, correlationId = id } = fields;
  const { subscription = 'test', attempt = 1, isRedelivery = attempt > 1, deadlineAt = new Date(time.getTime() + DEADLINE_MS) } = fields;
  const { signal = new AbortController().signal, idempotencyKey, undoes } = fields;
  const ids = { id, source, correlationId, causationId, sagaId };
  return createDelivery({
    envelope: { ...ids, type, version, key, time, headers, kind: 'event', contentType: 'application/json', body: new Uint8Array() },
    subscription,
    attempt,
    isRedelivery,
    deadlineAt,
    signal: () => signal,
    idempotencyKey,
    undoes,
  });
}
