import { closing } from './closing.js';
import type { StoreFixture } from './store-kit.js';

/** A fact about stores. */
export interface StoreFact {
  readonly name: string;
  readonly check: (fixture: StoreFixture) => Promise<void>;
}

/**
 * Facts about one subject.
 *
 * @param subject how their sentences begin
 * @param scene what each of them begins with, and how that ends
 * @param checks how the sentences go on, with what proves them
 */
export function factsOf<Scene extends { readonly end: () => Promise<void> }>(
  subject: string,
  scene: (fixture: StoreFixture) => Promise<Scene>,
  checks: Readonly<Record<string, (scene: Scene) => Promise<void>>>,
): readonly StoreFact[] {
  return Object.entries(checks).map(([predicate, check]) => ({
    name: `${subject} ${predicate}`,
    check: async (fixture) => {
      const begun = await scene(fixture);
      await closing({ close: begun.end }, () => check(begun));
    },
  }));
}

/** One fact for each of some values: `%s` in its sentence stands for the value. */
export function eachOf<Scene, Value>(
  values: readonly Value[],
  predicate: string,
  check: (value: Value) => (scene: Scene) => Promise<void>,
): Readonly<Record<string, (scene: Scene) => Promise<void>>> {
  return Object.fromEntries(values.map((value) => [predicate.replace('%s', String(value)), check(value)]));
}
