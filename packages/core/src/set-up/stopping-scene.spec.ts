// One message in the hand of a transport, for the order of a stop.
import type { Incoming, Intake, Lease } from '../delivery/intake.port.js';
import { attributesOf } from '../message/attributes.js';
import { Message } from '../message/message.js';

@Message('order.placed')
export class Placed {}

function placed(): Incoming {
  const facts = { id: '1', source: 'shop', type: 'order.placed', version: 1, key: undefined, time: new Date(), headers: {} };
  const envelope = { ...facts, correlationId: '1', kind: 'event', contentType: 'application/json', body: Buffer.from('{}') } as const;
  const rest = { lane: 0, writtenAt: envelope.time, attempts: 0, isRedelivery: false, hasConsent: false, deliveryId: undefined };
  return { type: envelope.type, attributes: attributesOf(envelope), body: envelope.body, place: '0/1', ...rest };
}

/** Hands over one message again and again, and writes down what becomes of it. */
export function intakeOf(transcript: string[]): Intake {
  const lease: Lease = {
    ...{ messages: [placed()], hasMore: false, isMoved: true, isSuspect: false, hasStored: false },
    renew: async () => undefined,
    finish: async () => void transcript.push('the message is consumed'),
    release: async () => void transcript.push('the message is given back'),
  };
  return { lease: async () => lease, settle: async () => undefined } as unknown as Intake; // what a handler outside transactions asks of it
}
