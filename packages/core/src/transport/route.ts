import { hfError } from '../errors/catalogue.js';
import { printable } from '../errors/printable.js';
import { isPrintableName } from '../message/message-class.js';
import type { TransportFactory } from './transport.port.js';
import { DEFAULT_TRANSPORT } from './transport-name.js';

/** Transports by their names in the options, the default first. */
export type KnownTransports = ReadonlyMap<string, Pick<TransportFactory, 'transport' | 'capabilities'>>;

/** The way of a message. */
export interface Route {
  /** Name of the transport in the options. */
  readonly transport: string;
  /** Address there; undefined: the message's type. */
  readonly address: string | undefined;
}

const BY_TYPE: Route = { transport: DEFAULT_TRANSPORT, address: undefined };

/**
 * Where a message of this type goes: `'<transport>:<address>'`, or an address on the default transport.
 *
 * @throws HF_DESTINATION_UNKNOWN, HF_DESTINATION_ADDRESS, HF_CAPABILITY_UNSUPPORTED
 */
export function routeOf(known: KnownTransports, destination: string | undefined, type: string): Route {
  if (destination === undefined) return BY_TYPE;
  if (!isPrintableName(destination)) throw unusable(destination, 'it is no printable text of 1 to 255 characters without blanks around it');
  const colon = destination.indexOf(':');
  const transport = colon === -1 ? DEFAULT_TRANSPORT : destination.slice(0, colon);
  const factory = known.get(transport);
  if (factory === undefined) throw hfError('HF_DESTINATION_UNKNOWN', { destination, transport, known: [...known.keys()].join(', ') });
  const address = destination.slice(colon + 1);
  if (address === '') throw unusable(destination, 'nothing stands behind the colon');
  if (address === type) return { transport, address: undefined };
  if (factory.capabilities.addresses !== true)
    throw hfError('HF_CAPABILITY_UNSUPPORTED', {
      feature: `the destination ${destination} (messages go to the subscriptions of their type)`,
      provider: `the transport ${nameOfTransport(transport, factory.transport)}`,
    });
  return { transport, address };
}

/** A route as one text, which a message of this type has and none of another: what a subscription is registered for. */
export function routeText({ transport, address }: Route, type: string): string {
  if (address !== undefined) return `${transport}:${address}:${type}`;
  return transport === DEFAULT_TRANSPORT ? type : `${transport}:${type}`;
}

/** A transport for a person: its kind, and its name where that says more. */
export function nameOfTransport(name: string, kind: string): string {
  return name === DEFAULT_TRANSPORT ? kind : `${name} (${kind})`;
}

function unusable(destination: string, reason: string): Error {
  return hfError('HF_DESTINATION_ADDRESS', { destination: printable(destination), reason });
}
