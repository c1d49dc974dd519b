import { envelopeOf, readBack } from '@holdfast-internal/test-support';
import type { ReceivedRecord } from './client.port.js';
import { attributeOf, bytesOf, fromRecord, toRecord, typeOf } from './wire.js';

const AT = new Date('2026-01-02T03:04:05.006Z');

/** As it comes back from the log. */
function received(record: Partial<ReceivedRecord>): ReceivedRecord {
  return { topic: 't', partition: 3, offset: 42n, key: null, value: null, headers: {}, at: AT, ...record };
}

function headersOf(texts: Readonly<Record<string, string>>): ReceivedRecord['headers'] {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, Buffer.from(text)]));
}

describe('a message over Kafka', () => {
  it('comes back as it went', () => {
    const envelope = envelopeOf('grüße ✓', {
      id: 'order/1',
      key: 'ключ "1"\n',
      headers: Object.assign(Object.create(null), {
        tenant: 'ü',
        empty: '',
        ce_x: '1',
        'content-type': 'x',
        'holdfast:y': '2',
        ...JSON.parse('{"__proto__":"3"}'),
      }),
      correlationId: 'talk',
      causationId: 'before',
      kind: 'command',
      replyTo: 'there/1',
      sagaId: 'saga "1"',
      compensates: 'before/ü',
      compensatesType: 'scene.before',
      compensatesTime: AT,
      hasRun: true,
      wantsReceipt: true,
      version: 7,
    });
    const record = toRecord(envelope, 't');
    const back = readBack(fromRecord(received(record), false));
    expect({ ...back, headers: { ...back.headers } }).toEqual({
      ...envelope,
      headers: { ...envelope.headers },
      body: Buffer.from('grüße ✓'),
    });
  });

  it('is a CloudEvent in binary mode, with the ordering key as key', () => {
    const { key, value, headers } = toRecord(envelopeOf('{}', { id: 'm', key: 'k', time: AT }), 't');
    expect([String(key), String(value)]).toEqual(['k', '{}']);
    expect(Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, String(text)]))).toEqual({
      'content-type': 'application/json',
      ce_specversion: '1.0',
      ce_id: 'm',
      ce_source: 'scene',
      ce_type: 'scene.happened',
      ce_time: AT.toISOString(),
      ce_dataschema: 'urn:holdfast:scene.happened:1',
      ce_partitionkey: 'k',
    });
    expect(toRecord(envelopeOf('{}'), 't').key).toBeNull();
  });

  it('of somebody who knows nothing of CloudEvents has its topic as address, its headers, and the time of the record', () => {
    const { attributes, type, place, body } = fromRecord(
      received({ headers: headersOf({ note: 'x' }), value: Buffer.from('<a/>'), key: Buffer.from('k') }),
      false,
    );
    expect(JSON.parse(attributes)).toEqual({
      address: 't',
      headers: { note: 'x', 'kafka-key': 'k', 'kafka-record': 't/3/42' },
      time: AT.toISOString(),
      partitionkey: 'k',
    });
    expect([type, place, String(body)]).toEqual(['', 't/3/42', '<a/>']);
  });

  it('with a time that is none is handed over all the same, so that it can be parked with its reason', () => {
    const headers = headersOf({ ce_id: '1', ce_source: 's', ce_type: 't' });
    const record = received({ headers, at: new Date(Number('9223372036854775807')) });
    expect(() => readBack(fromRecord(record, false))).toThrow('The attribute time of a message cannot be read: it is missing');
  });

  it('that was a dead letter and is put back is read as it was before', () => {
    const headers = headersOf({ note: 'x', 'holdfast-dead-address': 'legacy', 'holdfast-dead-reason': 'no' });
    expect(JSON.parse(fromRecord(received({ headers }), false).attributes)).toMatchObject({ address: 'legacy', headers: { note: 'x' } });
  });

  it('in structured mode is left to whoever reads it', () => {
    const headers = headersOf({ 'content-type': 'application/cloudevents+json; charset=UTF-8' });
    const attributes = JSON.parse(fromRecord(received({ headers }), false).attributes);
    expect(attributes).toMatchObject({ datacontenttype: 'application/cloudevents+json; charset=UTF-8' });
    expect(attributes.address).toBeUndefined();
  });

  it('has its type in its headers, or in its body in structured mode, or none that could be told', () => {
    const value = Buffer.from('{"type":"in the body"}');
    const structured = { 'content-type': 'application/cloudevents+json' };
    const typeIn = (headers: Record<string, string>) => typeOf(received({ headers: headersOf(headers), value }));
    expect(typeIn({ ce_type: 'beside it' })).toBe('beside it');
    expect(typeIn(structured)).toBe('in the body');
    expect(typeIn({ ce_datacontenttype: 'application/cloudevents+json', ce_type: 'beside it' })).toBe('in the body');
    expect(typeIn({ 'content-type': 'application/cloudevents-batch+json', ce_type: 'beside it' })).toBe('');
    expect([typeIn({}), typeOf(received({ headers: headersOf(structured), value: null }))]).toEqual(['', '']);
  });

  it('with a header twice has the last one, and a tombstone has no bytes', () => {
    const record = received({ headers: { ce_type: [Buffer.from('a'), Buffer.from('b')] } });
    expect(attributeOf(record, 'type')).toBe('b');
    expect(attributeOf(record, 'id')).toBeUndefined();
    expect(fromRecord(record, false).body).toHaveLength(0);
  });

  it('is counted with its headers and its key', () => {
    const small = toRecord(envelopeOf('x'), 't');
    expect(bytesOf({ ...small, value: Buffer.alloc(1000) }) - bytesOf({ ...small, value: null })).toBe(1000);
    expect(bytesOf({ ...small, headers: { ...small.headers, more: Buffer.alloc(500) } }) - bytesOf(small)).toBeGreaterThanOrEqual(504);
  });
});
