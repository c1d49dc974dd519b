// Wrong uses that must not compile. Each `@ts-expect-error` says what the user meant; tsc reports it as unused the day the error is gone.
import type { DeadLetters } from '@holdfast/nest';

declare const deadLetters: DeadLetters;

export async function operations(): Promise<void> {
  // @ts-expect-error meant a filter that says something: this would be all of them
  await deadLetters.redrive({}, { by: 'ann' });
  // @ts-expect-error meant `{ by }`: the audit wants a name
  await deadLetters.redrive('d-1');
  // @ts-expect-error meant to give a reason: discarding is for good
  await deadLetters.discard('d-1', { by: 'ann' });
}
