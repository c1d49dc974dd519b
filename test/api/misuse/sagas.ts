// Wrong uses that must not compile. Each `@ts-expect-error` says what the user meant; tsc reports it as unused the day the error is gone.
import {
  Command,
  Compensate,
  defineSaga,
  Idempotent,
  Message,
  MessageBus,
  OnMessage,
  Saga,
  SagaContext,
  Sagas,
  Step,
} from '@holdfast/nest';

interface State {
  orderId: string;
  total: number;
  payment?: { paymentId: string };
  shipped?: { parcels: string[] };
}

@Message('order.placed')
class OrderPlaced {
  constructor(
    readonly orderId: string,
    readonly total: number,
  ) {}
}

@Message('order.shipped')
class OrderShipped {
  constructor(readonly parcels: string[]) {}
}

@Message('card.charge')
class ChargeCard extends Command<{ paymentId: string }> {
  constructor(readonly orderId: string) {
    super();
  }
}

declare const sagas: Sagas;
declare const bus: MessageBus;
const event = new OrderPlaced('o-1', 20);

@Saga('place-order', { version: 1, signals: [OrderShipped] })
class PlaceOrderSaga {
  @Step()
  // @ts-expect-error meant 'releaseStock': a compensation with a typing error
  @Compensate('relaeseStock')
  async reserveStock(_saga: SagaContext<State>): Promise<void> {}

  async releaseStock(_saga: SagaContext<State>): Promise<void> {}

  // @ts-expect-error meant 'reserveStock': an unknown step before this one
  @Step({ after: 'resreveStock' })
  async charge(saga: SagaContext<State>) {
    return saga.request(new ChargeCard(saga.state.orderId), { into: 'payment' });
  }

  // @ts-expect-error meant 'charge': one wrong name among several
  @Step({ after: ['reserveStock', 'chrage'] })
  async ship(_saga: SagaContext<State>): Promise<void> {}

  @Step()
  // @ts-expect-error meant a public method: a private one cannot be called
  @Compensate('hidden')
  async visible(_saga: SagaContext<State>): Promise<void> {}

  // biome-ignore lint/correctness/noUnusedPrivateClassMembers: it is what must not be named
  private async hidden(_saga: SagaContext<State>): Promise<void> {}

  // @ts-expect-error meant a condition over State
  @Step({ when: (state: { country: string }) => state.country === 'FR' })
  async customs(_saga: SagaContext<State>): Promise<void> {}

  // @ts-expect-error meant `state.total`: the condition looks at a field that is not there
  @Step({ when: (state) => state.sum > 1000 })
  async large(_saga: SagaContext<State>): Promise<void> {}

  // @ts-expect-error meant `saga.request`: a step must not wait for a reply in memory
  @Step()
  async waitInMemory(saga: SagaContext<State>): Promise<{ paymentId: string }> {
    return bus.request(new ChargeCard(saga.state.orderId));
  }

  // @ts-expect-error meant a method: an arrow function in a property is not a step
  @Step()
  arrow = async (_saga: SagaContext<State>): Promise<void> => {};

  // @ts-expect-error meant `pivot`: an unknown option
  @Step({ pivto: true })
  async pack(_saga: SagaContext<State>): Promise<void> {}

  notAStep(_orderId: string): void {}

  // @ts-expect-error meant 'reserveStock': what comes first is a step, and this method is none
  @Step({ after: 'notAStep' })
  async afterNoStep(_saga: SagaContext<State>): Promise<void> {}

  // @ts-expect-error meant to keep it in `saga.state`: nobody is given what a step returns
  @Step()
  async returning(saga: SagaContext<State>): Promise<{ paymentId: string }> {
    return { paymentId: saga.id };
  }

  @Step()
  async outcomes(saga: SagaContext<State>) {
    // @ts-expect-error meant 'payment': the reply does not fit this field
    saga.request(new ChargeCard('o-1'), { into: 'total' });
    // @ts-expect-error meant 'payment': there is no such field
    saga.request(new ChargeCard('o-1'), { into: 'paymnet' });
    // @ts-expect-error meant to return it with `into: 'payment'`: there is no reply to await
    const { paymentId: _paymentId } = await saga.request(new ChargeCard('o-1'));
    // @ts-expect-error meant a command: an event has no reply
    saga.request(event);
    // @ts-expect-error meant to give a timeout: no saga waits for ever
    saga.waitFor(OrderShipped, { key: saga.state.orderId });
    // @ts-expect-error meant 'shipped': the message does not fit this field
    saga.waitFor(OrderShipped, { key: saga.state.orderId, timeout: '1d', into: 'payment' });
    // @ts-expect-error meant `saga.state.orderId`: no such field
    saga.state.orderID;
    return saga.sleep('3d');
  }
}

// @ts-expect-error meant `{ version: 1 }`: without one a deploy cannot tell definitions apart
@Saga('no-version', {})
class NoVersionSaga {}

async function startingSagas(): Promise<void> {
  // @ts-expect-error meant to give `total` too: the first state lacks a required field
  await sagas.start(PlaceOrderSaga, { orderId: 'o-1' }, { id: 'o-1' });
  // @ts-expect-error meant `{ id }`: without it a double click is two sagas
  await sagas.start(PlaceOrderSaga, { orderId: 'o-1', total: 20 });
  // @ts-expect-error meant PlaceOrderSaga: a class without steps is no saga
  await sagas.start(OrderPlaced, { orderId: 'o-1', total: 20 }, { id: 'o-1' });
  const { id } = await sagas.start(PlaceOrderSaga, { orderId: 'o-1', total: 20 }, { id: 'o-1' });
  const outcome = await sagas.result(id);
  // @ts-expect-error meant to look at `status` first: a completed saga has no failure
  outcome.failure.message;
  // @ts-expect-error meant `outcome.state.payment`: the state's type came with the id
  outcome.state.pament;
  // @ts-expect-error meant `sagas.cancel(id, { by })`: the audit wants a name
  await sagas.cancel(id);
}

@Saga('invoice', { version: 1 })
class InvoiceSaga {
  @Step()
  // @ts-expect-error meant a compensation that works on this saga's state
  @Compensate('forgetInvoice')
  async invoice(_saga: SagaContext<State>): Promise<void> {}

  async forgetInvoice(_saga: SagaContext<{ invoiceId: string }>): Promise<void> {}
}

@Saga('two-states', { version: 1 })
class TwoStatesSaga {
  @Step()
  async one(_saga: SagaContext<{ orderId: string }>): Promise<void> {}

  @Step({ after: 'one' })
  async two(_saga: SagaContext<{ total: number }>): Promise<void> {}
}

async function startingTwoStates(): Promise<void> {
  await sagas.start(TwoStatesSaga, { orderId: 'o-1', total: 20 }, { id: 'o-1' });
  // @ts-expect-error meant `{ orderId, total }`: the first state is for all steps, not for one of them
  await sagas.start(TwoStatesSaga, { orderId: 'o-1' }, { id: 'o-1' });
}

defineSaga<State>('built', { version: 1 })
  .step('pay', async () => {}, { pivot: true, retry: 3 })
  // @ts-expect-error meant one of them: a pivot is never undone
  .step('bill', async () => {}, { pivot: true, compensate: async () => {} })
  // @ts-expect-error meant one of them: the point of no return is a commit of the saga
  .step('book', async () => {}, { pivot: true, dataSource: 'ledger' });

@Message('card.refund')
class RefundCard extends Command {
  constructor(readonly orderId: string) {
    super();
  }
}

class Cards {
  @OnMessage(RefundCard)
  // @ts-expect-error meant ChargeCard: an event states a fact, and is not undone
  @Compensate(OrderPlaced)
  @Idempotent()
  async refundAnEvent(_command: RefundCard): Promise<void> {}

  @OnMessage(RefundCard)
  // @ts-expect-error meant the class, not an instance of it
  @Compensate(new ChargeCard('o-1'))
  @Idempotent()
  async refundAnInstance(_command: RefundCard): Promise<void> {}

  @OnMessage(RefundCard)
  // @ts-expect-error meant one of them: a handler undoes the requests of one command
  @Compensate([ChargeCard, RefundCard])
  @Idempotent()
  async refundSeveral(_command: RefundCard): Promise<void> {}

  // @ts-expect-error meant a method: an arrow function in a property is no handler
  @Compensate(ChargeCard)
  arrow = async (_command: RefundCard): Promise<void> => {};
}

export { Cards, InvoiceSaga, NoVersionSaga, startingTwoStates, TwoStatesSaga, PlaceOrderSaga, startingSagas };
