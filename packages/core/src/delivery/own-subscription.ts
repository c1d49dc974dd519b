import type { MessageClass } from '../message/message.js';
import { Message } from '../message/message.js';
import { DEFAULT_TRANSPORT } from '../transport/transport-name.js';

/** How often what the framework itself is told is tried: lost, it would be missed for ever. */
export const PATIENT = { attempts: 20, backoff: { delay: '1s', maxDelay: '1m' } } as const;

/** What a subscription of the framework's own takes over one transport: messages of a type, and its durable name, the plain one over the default transport. */
export function ownSubscription(name: string, type: string, transport: string): { readonly types: MessageClass; readonly name: string } {
  class Told {}
  const isDefault = transport === DEFAULT_TRANSPORT;
  Message(type, isDefault ? {} : { destination: `${transport}:${type}` })(Told);
  return { types: Told, name: isDefault ? name : `${name}.${transport}` };
}
