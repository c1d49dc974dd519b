import { hfError } from '../errors/catalogue.js';

/**
 * Refuses what would go on after its unit has ended: an Observable, a stream, a generator. COMMIT would come before its body runs.
 *
 * @throws HF_UOW_STREAM_RETURNED
 */
export function refuseStream(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  const kind = streamKind(value);
  if (kind) throw hfError('HF_UOW_STREAM_RETURNED', { method: 'A method', value: kind });
}

function streamKind(value: object): string | undefined {
  if (Symbol.toStringTag in value && value[Symbol.toStringTag] === 'Generator') return 'a generator';
  // Arrays, entities and other plain results fail all looks, each a miss on the prototype chain.
  if (Symbol.asyncIterator in value) return 'pipe' in value ? 'a stream' : 'an async iterable';
  if ('pipe' in value && typeof value.pipe === 'function') return 'subscribe' in value ? 'an Observable' : 'a stream';
  if ('subscribe' in value && typeof value.subscribe === 'function') return 'an Observable';
  return undefined;
}
