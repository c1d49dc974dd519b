import { type Channel, channel } from 'node:diagnostics_channel';
import { printable } from '../errors/printable.js';
import { EVENT_NAMES, type EventName, type HoldfastEvents } from './event-table.js';

export type { EventName, HoldfastEvents } from './event-table.js';
export { EVENT_NAMES } from './event-table.js';

/** Prefix of the diagnostics channels; after it comes the name of the event. */
export const CHANNEL_PREFIX = 'holdfast:';

// Held for ever: Node forgets a channel that nobody refers to, and its subscribers with it.
const channels = Object.fromEntries(EVENT_NAMES.map((name) => [name, channel(`${CHANNEL_PREFIX}${name}`)])) as Readonly<
  Record<EventName, Channel>
>;

/** A payload with nothing in it that its event does not name. The compiler by itself lets more pass where a function returns the payload. */
type Only<Event, Payload> = Payload & { readonly [Key in Exclude<keyof Payload, KeysOf<Event>>]: never };
type KeysOf<Event> = Event extends unknown ? keyof Event : never;

/**
 * Tells whoever listens, at once and within this call. Costs one look at the channel when nobody does. Never throws.
 *
 * @param payload what happened; a function is called only when somebody listens, so give one where making the payload costs something
 */
export function emit<Name extends EventName, Payload extends HoldfastEvents[Name]>(
  name: Name,
  payload: Only<HoldfastEvents[Name], Payload> | (() => Only<HoldfastEvents[Name], Payload>),
): void {
  const target = channels[name];
  if (!target.hasSubscribers) return;
  try {
    target.publish(typeof payload === 'function' ? payload() : payload);
  } catch (error) {
    warnOf(name, error);
  }
}

/**
 * Listens to one event of every Holdfast of this process, also of another copy of the package. What the listener throws, or its promise rejects
 * with, becomes a process warning and reaches nobody else; a listener put on the channel directly, without this function, makes it an uncaught exception.
 *
 * @param listener called within the engine's own work: be quick, and hand over what takes long
 * @returns stops listening
 */
export function subscribe<Name extends EventName>(name: Name, listener: (payload: HoldfastEvents[Name]) => void): () => void {
  const guarded = (payload: unknown): void => {
    try {
      const given: unknown = listener(payload as HoldfastEvents[Name]);
      if (given instanceof Promise) given.catch((error: unknown) => warnOf(name, error));
    } catch (error) {
      warnOf(name, error);
    }
  };
  // On the channel itself, not by its name: when another copy's channel is collected, Node may forget the name and give the next one a channel of its own.
  channels[name].subscribe(guarded);
  return () => {
    channels[name].unsubscribe(guarded);
  };
}

function warnOf(name: EventName, error: unknown): void {
  process.emitWarning(`A listener of ${CHANNEL_PREFIX}${name} failed: ${printable(error)}`, 'HoldfastWarning');
}
