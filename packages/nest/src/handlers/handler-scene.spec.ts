import { createDelivery, type Delivery, Message } from '@holdfast/core';
import { recordingApp } from '../../../../test/nest/support/recording-engine.js';
import { OnMessage } from '../index.js';

/** What is handled. */
@Message('order.placed')
export class OrderPlaced {
  constructor(readonly orderId: string) {}
}

/** One of it. */
export const event = new OrderPlaced('o-1');

/** How it comes. */
export function delivery(id: string): Delivery {
  return createDelivery({
    envelope: {
      id,
      source: 'orders',
      type: 'order.placed',
      version: 1,
      time: new Date(0),
      headers: {},
      correlationId: id,
      kind: 'event',
      contentType: 'application/json',
      body: new Uint8Array(),
    },
    subscription: 'billing.charge',
    attempt: 1,
    isRedelivery: false,
    deadlineAt: new Date(0),
    signal: () => new AbortController().signal,
  });
}

/** Delivers one event to the only handler of a class. */
export async function deliver(
  provider: unknown,
  extra: unknown[] = [],
  { ids = ['m-1'], message = event as object } = {},
): Promise<unknown[]> {
  const { app, engine } = await recordingApp({ providers: [provider, ...extra] as never });
  try {
    return await Promise.all(ids.map((id) => engine.subscriptions[0]?.handler(message, delivery(id))));
  } finally {
    await app.close();
  }
}

/** The handler's decorator. */
export const on = () => OnMessage(OrderPlaced, { name: 'billing.charge' });
