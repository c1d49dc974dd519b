/** Changes of a state by its fields: what a step has left, whatever the others were when it ran. */
interface StateChanges {
  readonly set: Readonly<Record<string, unknown>>;
  readonly gone: readonly string[];
}

/** What has changed from one state to another, both as JSON, as a text; undefined: nothing. */
export function changesOf(before: string, after: string): string | undefined {
  const [old, now] = [JSON.parse(before), JSON.parse(after)] as [Record<string, unknown>, Record<string, unknown>];
  const set = Object.fromEntries(Object.entries(now).filter(([field, value]) => JSON.stringify(value) !== JSON.stringify(old[field])));
  const gone = Object.keys(old).filter((field) => !Object.hasOwn(now, field));
  if (Object.keys(set).length === 0 && gone.length === 0) return undefined;
  return JSON.stringify({ set, gone } satisfies StateChanges);
}

/** A state with the changes that `changesOf` has found. */
export function withChanges(state: string, changes: string | undefined): object {
  const fields = JSON.parse(state) as Record<string, unknown>;
  if (changes === undefined) return fields;
  const { set, gone } = JSON.parse(changes) as StateChanges;
  const kept = Object.fromEntries(Object.entries(fields).filter(([field]) => !gone.includes(field)));
  return { ...kept, ...set };
}
