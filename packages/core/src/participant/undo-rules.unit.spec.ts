import fc from 'fast-check';
import type { ReadableMessage } from '../delivery/opened-message.js';
import type { RequestMemory } from '../inbox/inbox.store.port.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { ageMsOf, decideUndo, isStepRequest, requestAgeMsOf, type UndoVerdict } from './undo-rules.js';

const MEMORIES: readonly RequestMemory[] = ['none', 'done', 'claimed', 'begun', 'cancelled', 'undoing', 'compensated'];
const HOUR_MS = 3_600_000;

function message(also: object, incoming: object = {}): ReadableMessage {
  return {
    envelope: { time: new Date(0), ...also },
    incoming: { writtenAt: undefined, ...incoming },
    data: {},
  } as unknown as ReadableMessage;
}

/** A clock that shows so many hours. */
function clockAt(hours: number): VirtualTime {
  return new VirtualTime({ startsAt: new Date(hours * HOUR_MS) });
}

describe('what becomes of a compensation', () => {
  it.each<[RequestMemory, UndoVerdict, UndoVerdict, UndoVerdict]>([
    // of a request that is young, that is old, and that is known to have run
    ['none', 'needless', 'unknown', 'undo'],
    ['done', 'undo', 'undo', 'undo'],
    ['claimed', 'wait', 'wait', 'wait'],
    ['begun', 'undo', 'undo', 'undo'],
    ['cancelled', 'needless', 'needless', 'undo'],
    ['undoing', 'undo', 'undo', 'undo'],
    ['compensated', 'needless', 'needless', 'needless'],
  ])('whose request is remembered as %s: young %s, old %s, known to have run %s', (memory, young, old, ran) => {
    expect([
      decideUndo({ memory, isKnownToHaveRun: false, mayBeForgotten: false }),
      decideUndo({ memory, isKnownToHaveRun: false, mayBeForgotten: true }),
      decideUndo({ memory, isKnownToHaveRun: true, mayBeForgotten: false }),
    ]).toEqual([young, old, ran]);
  });

  it('is never a call beside the request, nor a guess that a request did not run which may have', () => {
    const terms = fc.record({
      memory: fc.constantFrom(...MEMORIES),
      isKnownToHaveRun: fc.boolean(),
      mayBeForgotten: fc.boolean(),
    });
    fc.assert(
      fc.property(terms, (given) => {
        const verdict = decideUndo(given);
        const mayHaveRun = given.isKnownToHaveRun || given.mayBeForgotten;
        if (given.memory === 'claimed') expect(verdict).toBe('wait');
        if (given.memory === 'none' && mayHaveRun) expect(verdict).not.toBe('needless');
        if (verdict === 'needless') expect(['none', 'cancelled', 'compensated']).toContain(given.memory);
      }),
    );
  });
});

describe('the request of a saga', () => {
  it.each([
    [{ sagaId: 's', replyTo: 'a' }, true],
    [{ sagaId: 's' }, false],
    [{ replyTo: 'a' }, false],
    [{ sagaId: 's', replyTo: 'a', compensates: 'r' }, false],
  ])('is known by its saga and its address: %j is %p', (envelope, isOne) => {
    expect(isStepRequest(envelope)).toBe(isOne);
  });
});

describe('the age', () => {
  it('of a message is that of the store where it has one, else what both clocks say', () => {
    expect(ageMsOf(message({}), clockAt(3))).toBe(3 * HOUR_MS);
    expect(ageMsOf(message({ dueAt: new Date(HOUR_MS) }), clockAt(3))).toBe(2 * HOUR_MS);
    expect(ageMsOf(message({}, { ageMs: 5, writtenAt: new Date(0) }), clockAt(3))).toBe(5);
  });

  it('of what a saga asks for again is counted from when it asked first, whenever it was written; of other messages from when they were written', () => {
    const ofSaga = { sagaId: 's', replyTo: 'a' };
    for (const incoming of [{ ageMs: HOUR_MS }, { writtenAt: new Date(2 * HOUR_MS) }]) {
      for (const also of [ofSaga, { ...ofSaga, compensates: 'r' }]) expect(ageMsOf(message(also, incoming), clockAt(3))).toBe(3 * HOUR_MS);
      for (const also of [{ sagaId: 's' }, { replyTo: 'a' }]) expect(ageMsOf(message(also, incoming), clockAt(3))).toBe(HOUR_MS);
    }
    expect(ageMsOf(message({ ...ofSaga, time: new Date(2 * HOUR_MS) }, { ageMs: 2 * HOUR_MS }), clockAt(3))).toBe(2 * HOUR_MS);
  });

  it('of a request is counted from when it was published, or without that from when its undoing was', () => {
    const time = new Date(2 * HOUR_MS);
    expect(requestAgeMsOf(message({ time }), clockAt(3))).toBe(HOUR_MS);
    expect(requestAgeMsOf(message({ time, compensatesTime: new Date(0) }), clockAt(3))).toBe(3 * HOUR_MS);
    expect(requestAgeMsOf(message({ time, compensatesTime: new Date(9 * HOUR_MS) }), clockAt(3))).toBe(HOUR_MS);
  });
});
