import type { KeyRule } from '../delivery/delivery.store.port.js';
import { hfError } from '../errors/catalogue.js';
import type { Envelope } from '../message/envelope.js';

/** The handler whose requests another one undoes. */
export interface UndoneStep {
  readonly name: string;
  /** CloudEvents types of its requests. */
  readonly types: readonly string[];
  /** What the keys of its stored deliveries wait for, and its number. */
  readonly rule: KeyRule;
  /** How old a request may be that is not remembered and yet was never handled. */
  readonly ttlMs: number;
  /** How long it is remembered that a request was undone. */
  readonly keepMs: number;
}

/** The saga that a message belongs to, for errors: a sender that is not Holdfast may not say it. */
export function sagaOf({ sagaId }: Pick<Envelope, 'sagaId'>): string {
  return sagaId ?? '(not named)';
}

/** Why a message cannot be handled because of the request it is to undo; undefined: it can. @throws nothing */
export function undoingError(
  { undoes, spec }: { readonly undoes: UndoneStep | undefined; readonly spec: { readonly name: string } },
  envelope: Envelope,
): Error | undefined {
  const { compensates, compensatesType, hasRun } = envelope;
  if (compensates === undefined) return undefined;
  const about = { subscription: spec.name, request: compensates, type: compensatesType ?? 'of unknown type', sagaId: sagaOf(envelope) };
  const refused = (reason: string) => hfError('HF_COMPENSATION_UNGUARDED', { ...about, reason });
  if (undoes === undefined)
    return hasRun ? undefined : refused('it has no @Compensate, so it cannot know whether there is anything to undo');
  const isOther = compensatesType !== undefined && !undoes.types.includes(compensatesType);
  return isOther ? refused(`that is a ${compensatesType}, and it undoes ${undoes.types.join(', ')}`) : undefined;
}
