import { leaveWith, type Outlet } from '../bus/outlet-bus.js';
import { type Outgoing, outgoing, type OutgoingContext } from '../bus/outgoing.js';
import { hfError } from '../errors/catalogue.js';
import type { Envelope } from '../message/envelope.js';
import type { Random } from '../time/random.js';
import { routeText } from '../transport/route.js';
import type { UnitEngine } from '../unit-of-work/unit-engine.js';
import type { SagaAsking, SagaChild, SagaRequest } from './saga-attempt.js';
import { sagaReplyType } from './saga-messages.js';
import type { SentRequest } from './saga-progress.js';
import type { SagaRegister } from './saga-register.js';
import { startSaga } from './saga-start.js';
import { encodeState } from './saga-state.js';
import type { RequestRoute } from './same-request.js';
import type { SagaArrivalStore, SagaStartStore } from './saga.store.port.js';

/** What steps ask with. */
export interface StepAskingParts {
  readonly context: OutgoingContext;
  readonly outlet: Outlet;
  readonly units: UnitEngine<Outgoing>;
  readonly store: SagaStartStore & SagaArrivalStore;
  readonly register: SagaRegister;
  readonly random: Random;
}

/** How steps reach beyond their process: with messages, and with rows, which are gone when the attempt fails. */
export class StepAsking implements SagaAsking {
  constructor(private readonly parts: StepAskingParts) {}

  async request({ command, options, id, sagaId, sentMs, compensates }: SagaRequest): Promise<RequestRoute> {
    const { context, outlet } = this.parts;
    const { key, destination } = options;
    const made = await outgoing(context, command, {
      options: { id, correlationId: sagaId, ...(key === undefined ? {} : { key }), ...(destination === undefined ? {} : { destination }) },
      kind: 'command',
      replyTo: sagaReplyType(context.service),
      sagaId,
      time: new Date(sentMs),
      ...(compensates && undoing(compensates)),
    });
    await leaveWith(outlet, made);
    const { type, destination: address } = made.envelope;
    return { type, route: routeText({ transport: made.transport, address }, type) };
  }

  /** @throws HF_SAGA_NOT_REGISTERED, HF_SAGA_ID_TAKEN, HF_SAGA_STATE, HF_SAGA_STATE_TOO_LARGE */
  async start({ saga, state, id, parent }: SagaChild): Promise<void> {
    const { units, store, register, random } = this.parts;
    const runnable = register.of(saga);
    const text = encodeState(state, { saga: runnable.definition.name, id, step: 'none' });
    const unit = units.current();
    await unit?.inTurn(async (tx) => {
      const {
        isStarted,
        saga: found,
        progress,
        queue,
      } = await startSaga({ store, random }, tx, { runnable, id, state: text, isTaken: false, parent });
      // Each attempt that is committed has started one of its own.
      if (!isStarted) throw hfError('HF_SAGA_ID_TAKEN', { id, found: found ?? 'another one', saga: runnable.definition.name });
      if (queue !== undefined) unit.beforeCommit(queue);
      const { status, failure } = progress;
      // It ended as it began: none of its steps was wanted, or whether one is could not be told.
      if (status === 'completed' || status === 'compensated')
        await store.tell(tx, [{ id: parent, event: { kind: 'ended', id, state: JSON.parse(text) as unknown, failure } }]);
    });
  }
}

/** What the other end is told of the request that is undone. */
function undoing({
  id,
  type,
  sentMs,
  hasAnswered,
}: SentRequest): Pick<Envelope, 'compensates' | 'compensatesType' | 'compensatesTime' | 'hasRun'> {
  return {
    compensates: id,
    compensatesType: type,
    ...(sentMs === undefined ? {} : { compensatesTime: new Date(sentMs) }),
    ...(hasAnswered ? { hasRun: true } : {}),
  };
}
