import { Message } from '../message/message.js';

/** CloudEvents type of `SagaAborted`, which programs of others may publish too. */
export const SAGA_ABORTED = 'holdfast.saga-aborted';

/**
 * Says that a choreographed saga is off: published with `{ sagaId }`, or by a handler of one of the saga's messages. Each service undoes what its
 * handlers with `@Compensate` committed for the saga, the last first, and drops what comes for them later. Anyone may listen to it with `@OnMessage`.
 *
 * **Guarantee:** what was committed for the saga in a service, before the abort arrived or while it did, is undone there, each part with one effect.
 * **Not promised:** an order between services. A second abort changes nothing.
 */
@Message(SAGA_ABORTED)
export class SagaAborted {
  /** @param reason for people; kept with the saga in each service, and given to whoever listens */
  constructor(readonly reason: string) {}
}
