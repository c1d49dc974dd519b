import type { UnregisteredSubscription } from '../delivery/subscription-builder.js';

/** A command has one owner: with two handlers it would be done twice, and its requester would get whichever reply comes first. */
export function sharedCommands(built: readonly UnregisteredSubscription[]): readonly string[] {
  const owners = new Map<string, string[]>();
  // What undoes a command is no owner of it.
  for (const { messages, spec } of built.filter(({ isOnlyStored }) => !isOnlyStored))
    for (const { type } of messages.filter(({ isCommand }) => isCommand)) owners.set(type, [...(owners.get(type) ?? []), spec.name]);
  const shared = [...owners].filter(([, names]) => names.length > 1);
  return shared.map(
    ([type, names]) => `the command ${type} has ${names.length} handlers: ${names.join(', ')}; a command has one owner, so keep one`,
  );
}
