import { SAGA_ABORTED } from '../choreography/saga-aborted.js';
import { hfError } from '../errors/catalogue.js';
import { printable } from '../errors/printable.js';
import { encodeData } from '../message/codec.js';
import { attributesOf, type Envelope } from '../message/envelope.js';
import type { MessageLimits } from '../message/limits.js';
import { describeMessage, type MessageDescription } from '../message/message-class.js';
import { whenReady } from '../message/schema.js';
import { assertStorable, headersToSend } from '../message/storable.js';
import { uuidv7 } from '../message/uuid.js';
import type { LogRow } from '../outbox/log.store.port.js';
import { slotOf } from '../outbox/lanes.js';
import { currentSagaId } from '../saga/saga-scope.js';
import type { Clock } from '../time/clock.js';
import { toMs } from '../time/duration.js';
import type { Random } from '../time/random.js';
import { type KnownTransports, routeOf } from '../transport/route.js';
import { currentDelivery } from '../delivery/delivery-context.js';
import type { PublishOptions } from './message-bus.js';

/** Longest ordering key, in characters. */
const KEY_LENGTH = 255;

/** A message on its way out: serialised, with all its attributes. */
export interface Outgoing {
  readonly envelope: Envelope;
  /** Name of the transport that carries it. */
  readonly transport: string;
  readonly due: LogRow['due'];
  /** The instance that was given, for tests that look at what was published. */
  readonly message: object;
  readonly options: PublishOptions;
}

/** What making an envelope needs. */
export interface OutgoingContext {
  readonly service: string;
  readonly limits: MessageLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly transports: KnownTransports;
  /** Why receipts cannot be asked for over a transport; undefined: they can. */
  readonly noReceipts: (transport: string) => string | undefined;
}

/** The request that a command undoes. */
type Undoing = Pick<Envelope, 'compensates' | 'compensatesType' | 'compensatesTime' | 'hasRun'>;

/** What a caller wants of a message; `time` is that of the call unless given. */
interface Asked extends Undoing, Pick<Envelope, 'sagaId' | 'replyTo'>, Partial<Pick<Envelope, 'time'>> {
  readonly options: PublishOptions;
  readonly kind: 'event' | 'command';
}

/** A message as it will travel. */
interface Encoded {
  readonly description: MessageDescription;
  readonly body: Buffer;
}

/** Serialises a message and gives it its attributes, at the call. A promise only when its schema is asynchronous. */
export function outgoing(context: OutgoingContext, message: object, asked: Asked): Outgoing | Promise<Outgoing> {
  const { kind, replyTo } = asked;
  const description = describeMessage(message);
  if (description.isCommand !== (kind === 'command')) {
    const [verb, right] = kind === 'event' ? ['publish', 'send'] : [replyTo === undefined ? 'send' : 'request', 'publish'];
    throw hfError('HF_MESSAGE_KIND', { type: description.type, verb, right });
  }
  return whenReady(encodeData(message, description, context.limits), (body) => madeOf(context, { message, description, body, ...asked }));
}

function madeOf(
  context: OutgoingContext,
  { message, description, body, options, kind, replyTo, ...asked }: Asked & Pick<Outgoing, 'message'> & Encoded,
): Outgoing {
  const delivery = currentDelivery();
  const { key, headers } = options;
  const { transport, address } = routeOf(context.transports, options.destination ?? description.destination, description.type);
  const due = dueOf(options);
  if (due !== undefined && replyTo !== undefined)
    throw hfError('HF_MESSAGE_TIME', { reason: 'nobody waits for the reply to a request that is made later' });
  if (key !== undefined) assertStorable(key, 'The ordering key', KEY_LENGTH);
  if (options.id !== undefined) assertStorable(options.id, 'The message id', context.limits.idLength);
  if (options.correlationId !== undefined) assertStorable(options.correlationId, 'The correlation id', context.limits.idLength);
  if (options.sagaId !== undefined) assertStorable(options.sagaId, 'The saga id', context.limits.idLength);
  const ofStep = currentSagaId();
  const sagaId = asked.sagaId ?? options.sagaId ?? delivery?.sagaId ?? ofStep;
  if (sagaId === undefined && description.type === SAGA_ABORTED) throw hfError('HF_SAGA_ABORT_OF_NONE', {});
  const { time = context.clock.now() } = asked;
  const id = options.id ?? uuidv7(context.clock, context.random);
  const envelope: Envelope = {
    id,
    source: context.service,
    type: description.type,
    version: description.version,
    key,
    time,
    dueAt: due && dueAt(due, time),
    destination: address,
    headers: headers === undefined ? NO_HEADERS : headersToSend(headers, context.limits),
    correlationId: options.correlationId ?? delivery?.correlationId ?? ofStep ?? id,
    causationId: delivery?.id,
    sagaId,
    replyTo,
    compensates: asked.compensates,
    compensatesType: asked.compensatesType,
    compensatesTime: asked.compensatesTime,
    hasRun: asked.hasRun,
    wantsReceipt: wantsReceipt(context, transport, options),
    kind,
    contentType: 'application/json',
    body,
  };
  return { envelope, transport, due, message, options };
}

/** A moment that has passed is now. */
function dueAt(due: NonNullable<LogRow['due']>, now: Date): Date {
  return new Date('at' in due ? Math.max(due.at.getTime(), now.getTime()) : now.getTime() + due.delayMs);
}

/** The row a message becomes in the log. */
export function logRowOf({ envelope, transport, due }: Outgoing): LogRow {
  const { key, type, body } = envelope;
  return { slot: key === undefined ? undefined : slotOf(key), type, key, attributes: attributesOf(envelope), body, due, transport };
}

/** @throws HF_CAPABILITY_UNSUPPORTED where receipts would not come back */
function wantsReceipt({ noReceipts }: OutgoingContext, transport: string, { receipt }: PublishOptions): true | undefined {
  if (!receipt) return undefined;
  const provider = noReceipts(transport);
  if (provider !== undefined) throw hfError('HF_CAPABILITY_UNSUPPORTED', { feature: 'receipt: true', provider });
  return true;
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze(Object.create(null));

function dueOf({ delay, at }: PublishOptions): LogRow['due'] {
  if (delay !== undefined && at !== undefined) throw hfError('HF_MESSAGE_TIME', { reason: 'delay and at are both given' });
  if (at !== undefined) {
    if (!(at instanceof Date) || Number.isNaN(at.getTime()))
      throw hfError('HF_MESSAGE_TIME', { reason: `at is no Date with a time: ${printable(at)}` });
    return { at };
  }
  return delay === undefined ? undefined : { delayMs: toMs(delay, 'delay') };
}
