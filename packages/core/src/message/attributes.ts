import { hfError } from '../errors/catalogue.js';
import { printable } from '../errors/printable.js';
import type { Envelope } from './envelope.js';
import { DEFAULT_LIMITS, type MessageLimits } from './limits.js';
import { timestampIn, timestampOf } from '../time/timestamp.js';
import { assertStorable, headersFrom } from './storable.js';

/** CloudEvents attributes by their names on the wire, and `headers`. Of unknown origin: nothing in it is trusted. */
export type Attributes = Readonly<Record<string, unknown>>;

/** Attributes as we write them: texts, but for the headers. */
export interface WrittenAttributes {
  readonly headers: Readonly<Record<string, string>>;
  readonly datacontenttype: string;
  readonly [name: string]: string | undefined | Readonly<Record<string, string>>;
}

/** What reading attributes may depend on. */
export interface AttributeOptions {
  /** Stands in for `time`, which CloudEvents makes optional; without it a message without time is refused. */
  readonly receivedAt?: Date;
  /** Default: the default limits. */
  readonly limits?: MessageLimits;
}

const SCHEMA_PREFIX = 'urn:holdfast:';
const JSON_TYPE = /^application\/(?:json|[\w.+-]+\+json)\s*(?:;.*)?$/i;

/**
 * Everything of an envelope but its body, as flat JSON text with the names of CloudEvents: what is stored beside the body. What a reader takes for granted is
 * left out: a correlation id that is the message's own, the kind of an event.
 *
 * @source CloudEvents 1.0.2 §"Context Attributes" and JSON Event Format §3; `destination`, `kind` and `duetime` are ours
 */
export function attributesOf(envelope: Envelope): string {
  return JSON.stringify(attributesIn(envelope));
}

/** The same before it is text; what the envelope does not have is undefined. */
export function attributesIn(envelope: Envelope): WrittenAttributes {
  return {
    specversion: '1.0',
    id: envelope.id,
    source: envelope.source,
    type: envelope.type,
    time: timestampOf(envelope.time),
    duetime: envelope.dueAt && timestampOf(envelope.dueAt),
    datacontenttype: envelope.contentType,
    dataschema: dataSchemaOf(envelope.type, envelope.version),
    partitionkey: envelope.key,
    correlationid: envelope.correlationId === envelope.id ? undefined : envelope.correlationId,
    causationid: envelope.causationId,
    traceparent: envelope.traceparent,
    sagaid: envelope.sagaId,
    replyto: envelope.replyTo,
    compensates: envelope.compensates,
    compensatestype: envelope.compensatesType,
    compensatestime: envelope.compensatesTime && timestampOf(envelope.compensatesTime),
    ran: envelope.hasRun === true ? 'true' : undefined,
    receipt: envelope.wantsReceipt === true ? 'true' : undefined,
    destination: envelope.destination,
    kind: envelope.kind === 'event' ? undefined : envelope.kind,
    headers: envelope.headers,
  };
}

/**
 * Reads an envelope back. Attributes it does not know are dropped; a foreign producer may leave out all but id, source, type and time.
 *
 * @param attributes flat JSON text as `attributesOf` wrote it, or the attributes themselves as a transport collected them
 * @param body the bytes of the data, not looked at
 * @throws HF_MESSAGE_ID, HF_MESSAGE_HEADERS, HF_MESSAGE_UNREADABLE when an attribute is missing, damaged or too long
 */
export function envelopeFrom(attributes: string | Attributes, body: Uint8Array, options: AttributeOptions = {}): Envelope {
  const limits = options.limits ?? DEFAULT_LIMITS;
  const from = typeof attributes === 'string' ? parseAttributes(attributes) : attributes;
  const text = (name: string, part: string): string => {
    const value = from[name];
    assertStorable(value, part, limits.idLength);
    return value;
  };
  const optional = (name: string, part: string): string | undefined =>
    from[name] === undefined || from[name] === null ? undefined : text(name, part);
  const id = text('id', 'The message id');
  return {
    id,
    source: text('source', 'The source of a message'),
    type: text('type', 'The type of a message'),
    version: versionOf(from.dataschema),
    key: optional('partitionkey', 'The ordering key'),
    time: timeOf(from.time, options.receivedAt),
    dueAt: textualTime(from.duetime),
    destination: optional('destination', 'The destination of a message'),
    headers: headersFrom(from.headers ?? undefined, limits),
    correlationId: optional('correlationid', 'The correlation id') ?? id,
    causationId: optional('causationid', 'The causation id'),
    sagaId: optional('sagaid', 'The saga id'),
    traceparent: optional('traceparent', 'The traceparent of a message'),
    replyTo: optional('replyto', 'The reply address of a message'),
    compensates: optional('compensates', 'The id of the request that is to be undone'),
    compensatesType: optional('compensatestype', 'The type of the request that is to be undone'),
    compensatesTime: textualTime(from.compensatestime),
    hasRun: from.ran === 'true' || from.ran === true ? true : undefined,
    wantsReceipt: from.receipt === 'true' || from.receipt === true ? true : undefined,
    kind: kindOf(from.kind),
    contentType: contentTypeOf(from.datacontenttype),
    body,
  };
}

/** The address that stands for a version of a type on the wire: `urn:holdfast:<type>:<version>`. */
export function dataSchemaOf(type: string, version: number): string {
  return `${SCHEMA_PREFIX}${encodeURIComponent(type)}:${version}`;
}

/** The version that `dataschema` names; 1 when it is missing or another producer's address. @throws HF_MESSAGE_UNREADABLE when it is ours and damaged */
export function versionOf(dataSchema: unknown): number {
  if (typeof dataSchema !== 'string' || !dataSchema.startsWith(SCHEMA_PREFIX)) return 1;
  const version = Number(/:([1-9]\d{0,8})$/.exec(dataSchema)?.[1]);
  if (Number.isNaN(version)) throw unreadable('dataschema', dataSchema);
  return version;
}

/** Attributes as they were stored. @throws HF_MESSAGE_UNREADABLE when the text is no JSON object */
export function parseAttributes(text: string): Attributes {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw hfError(
      'HF_MESSAGE_UNREADABLE',
      { part: 'The attributes of a message', reason: `they are no JSON: ${printable(text)}` },
      { cause },
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw hfError('HF_MESSAGE_UNREADABLE', { part: 'The attributes of a message', reason: `they are no object: ${printable(text)}` });
  }
  return value as Attributes;
}

function timeOf(value: unknown, receivedAt: Date | undefined): Date {
  if ((value === undefined || value === null) && receivedAt) return receivedAt;
  const time = textualTime(value);
  if (time === undefined) throw unreadable('time', value);
  return time;
}

function textualTime(value: unknown): Date | undefined {
  return typeof value === 'string' ? timestampIn(value) : undefined;
}

function kindOf(value: unknown): Envelope['kind'] {
  if (value === undefined || value === null) return 'event';
  if (value === 'event' || value === 'command' || value === 'reply') return value;
  throw unreadable('kind', value);
}

function contentTypeOf(value: unknown): Envelope['contentType'] {
  // CloudEvents takes a missing content type for JSON.
  if (value === undefined || value === null || value === 'application/json') return 'application/json';
  if (typeof value === 'string' && JSON_TYPE.test(value)) return 'application/json';
  throw unreadable('datacontenttype', value);
}

function unreadable(name: string, value: unknown): Error {
  const reason = value === undefined || value === null ? 'it is missing' : `it is ${printable(value)}`;
  return hfError('HF_MESSAGE_UNREADABLE', { part: `The attribute ${name} of a message`, reason, value });
}
