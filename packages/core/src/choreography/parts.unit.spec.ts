import type { CallOfMessage } from '../delivery/answering.js';
import type { HandlerCall } from '../delivery/handler-call.js';
import { envelopeFrom } from '../message/attributes.js';
import { messageOf } from '../delivery/handling-scene.spec.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { ChoreographyStore, NewPart } from './choreography.store.port.js';
import { recordParts } from './parts.js';

const TX = {} as Transaction;

function callOf(id: string, sagaid: string | undefined, also: object = {}): CallOfMessage {
  const attributes = { ...JSON.parse(messageOf(id, 'k').attributes), sagaid, ...also };
  const incoming = { ...messageOf(id, 'k'), attributes: JSON.stringify(attributes) };
  const envelope = envelopeFrom(incoming.attributes, incoming.body);
  return { message: { incoming, envelope, data: {} }, call: { facts: () => ({}) } as HandlerCall, key: undefined };
}

async function recorded(calls: readonly CallOfMessage[], aborted: readonly string[] = [], known: readonly string[] = []) {
  const parts: NewPart[] = [];
  const record: ChoreographyStore['record'] = async (_tx, part) => {
    parts.push(part);
    if (known.includes(part.message.id)) return 'repeated';
    return aborted.includes(part.sagaId) ? 'aborted' : 'recorded';
  };
  const undo = { name: 'hotels.book.undo', id: 7 };
  const { kept, ofAbortedSagas, repeated } = await recordParts({ record } as ChoreographyStore, TX, { undo, calls });
  const ids = (of: readonly CallOfMessage[]) => of.map(({ message }) => message.envelope.id);
  return { parts, kept: ids(kept), ofAbortedSagas: ids(ofAbortedSagas), repeated: ids(repeated) };
}

describe('what a handler is about to do', () => {
  it('is recorded for sagas only, and handled in the order in which it came', async () => {
    const { parts, kept, ofAbortedSagas } = await recorded([callOf('1', 'b'), callOf('2', undefined), callOf('3', 'a')]);
    expect({ kept, ofAbortedSagas }).toEqual({ kept: ['1', '2', '3'], ofAbortedSagas: [] });
    expect(parts.map(({ message }) => message.id).sort()).toEqual(['1', '3']);
  });

  it('is recorded saga by saga in one order everywhere, within a saga as it came', async () => {
    const { parts } = await recorded([callOf('1', 'b'), callOf('2', 'a'), callOf('4', 'b'), callOf('3', 'a')]);
    expect(parts.map(({ sagaId, message }) => `${sagaId}${message.id}`)).toEqual(['a2', 'a3', 'b1', 'b4']);
  });

  it('is left out for aborted sagas', async () => {
    const { kept, ofAbortedSagas } = await recorded([callOf('1', 'b'), callOf('2', 'a'), callOf('3', 'b'), callOf('4', undefined)], ['b']);
    expect({ kept, ofAbortedSagas }).toEqual({ kept: ['2', '4'], ofAbortedSagas: ['1', '3'] });
  });

  it('is left out where it was recorded before', async () => {
    const { kept, ofAbortedSagas, repeated } = await recorded([callOf('1', 'b'), callOf('2', 'a'), callOf('3', 'b')], ['b'], ['2', '3']);
    expect({ kept, ofAbortedSagas, repeated }).toEqual({ kept: [], ofAbortedSagas: ['1'], repeated: ['2', '3'] });
  });

  it('is recorded with its message, without whoever waits for an answer or a receipt', async () => {
    const call = callOf('1', 'a', { replyto: 'shop', receipt: 'true', headers: { tenant: 'acme' } });
    const { parts } = await recorded([call]);
    const { attributes, ...message } = (parts[0] as NewPart).message;
    expect(parts[0]).toMatchObject({ sagaId: 'a', subscriptionId: 7 });
    expect(message).toEqual({ source: 'shop', id: '1', type: 'order.placed', body: call.message.incoming.body });
    expect(JSON.parse(attributes)).toMatchObject({ id: '1', sagaid: 'a', headers: { tenant: 'acme' } });
    expect(attributes).not.toMatch(/replyto|receipt/);
  });
});
