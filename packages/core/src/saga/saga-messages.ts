import type { Delivery } from '../delivery/delivery.js';
import { ownSubscription, PATIENT } from '../delivery/own-subscription.js';
import type { Registration } from '../delivery/subscription-builder.js';
import { hfError } from '../errors/catalogue.js';
import type { Envelope } from '../message/envelope.js';
import type { MessageClass } from '../message/message.js';
import { describeMessages, type MessageDescription } from '../message/message-class.js';
import type { Refusal } from '../reply/answer.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { SagaArrivalStore, SagaTelling } from './saga.store.port.js';

/** The subscription that takes replies to the sagas of a service over the default transport; those over others have their names behind it. */
const REPLIES_SUBSCRIPTION = 'holdfast.saga-replies';
/** The subscriptions that take what sagas wait for, each with the type behind it. */
const SIGNALS_SUBSCRIPTION = 'holdfast.saga-signals';
const TYPE = 'holdfast.saga-reply.';

/** Where the replies to the sagas of a service go: the CloudEvents type of an event that only it subscribes to, so that any of its processes gets it. */
export function sagaReplyType(service: string): string {
  return `${TYPE}${encodeURIComponent(service)}`;
}

/** True for an address of replies that is the type of an event. Of unknown origin. */
export function isSagaReplyType(address: string | undefined): boolean {
  return address?.startsWith(TYPE) ?? false;
}

/** True for a reply to a saga. */
export function isSagaReply({ type }: Pick<Envelope, 'type'>): boolean {
  return isSagaReplyType(type);
}

/** What takes the messages for the sagas of a service. */
export interface SagaIntake {
  readonly service: string;
  readonly store: SagaArrivalStore;
  /** Names of the transports. */
  readonly transports: readonly string[];
  readonly signals: readonly MessageClass[];
  readonly currentTransaction: () => Transaction | undefined;
  /** Something has come, and is there with the commit of the unit in scope. */
  readonly arrived: () => void;
}

/** The handlers that take replies to requests of sagas, and what sagas wait for. They only write down what came: whoever works on the saga sees it. */
export function sagaRegistrations(intake: SagaIntake): readonly Registration[] {
  return [
    ...intake.transports.map((transport) => repliesOver(transport, intake)),
    ...intake.signals.map((signal) => signalsOf(signal, intake)),
  ];
}

function repliesOver(transport: string, { service, store, currentTransaction, arrived }: SagaIntake): Registration {
  const { types, name } = ownSubscription(REPLIES_SUBSCRIPTION, sagaReplyType(service), transport);
  return {
    types,
    handler: async (message: never, delivery: Delivery) => {
      await store.tell(inUnit(currentTransaction()), [tellingOf(message, delivery)]);
      arrived();
    },
    policies: {
      name,
      transactional: true,
      retry: PATIENT,
      failurePause: false,
    },
  };
}

function tellingOf(message: object, { sagaId, causationId, source }: Delivery): SagaTelling {
  const { value, refusal } = message as { readonly value?: unknown; readonly refusal?: Partial<Refusal> | null };
  if (sagaId === undefined || causationId === undefined)
    throw hfError('HF_REPLY_UNREADABLE', {
      type: `a message from ${source}`,
      id: causationId ?? 'nothing',
      reason: 'it does not say which saga has asked',
    });
  if (refusal === undefined || refusal === null) return { id: sagaId, event: { kind: 'answered', id: causationId, value } };
  const { code, message: reason, details, isDefinite } = refusal;
  if (typeof code !== 'string' || typeof reason !== 'string')
    throw hfError('HF_REPLY_UNREADABLE', {
      type: `a message from ${source}`,
      id: causationId,
      reason: 'its refusal has no code, or no message',
    });
  return {
    id: sagaId,
    event: {
      kind: 'refused',
      id: causationId,
      refusal: { code, message: reason, details: details ?? {}, isDefinite: isDefinite === true },
    },
  };
}

function signalsOf(signal: MessageClass, { store, currentTransaction, arrived }: SagaIntake): Registration {
  const { type } = describeMessages(signal)[0] as MessageDescription;
  return {
    types: signal,
    handler: async (message: never, { key }: Delivery) => {
      if (key === undefined) throw hfError('HF_SAGA_SIGNAL', { type, problem: 'it came without a key', waiting: 'A saga' });
      await store.signal(inUnit(currentTransaction()), { type, key, value: message });
      arrived();
    },
    // A copy of one that was heard is not a second one.
    policies: { name: `${SIGNALS_SUBSCRIPTION}.${type}`, transactional: true, idempotent: true, retry: PATIENT, failurePause: false },
  };
}

function inUnit(tx: Transaction | undefined): Transaction {
  if (tx === undefined) throw hfError('HF_INVARIANT', { fact: 'a message for a saga was taken outside any transaction' });
  return tx;
}
