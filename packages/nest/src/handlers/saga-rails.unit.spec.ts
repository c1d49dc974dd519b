import { Inject, Injectable, Scope, UseFilters, UseGuards, UseInterceptors, UsePipes } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { problemsOf, recordingApp } from '../../../../test/nest/support/recording-engine.js';
import { Command, Compensate, Idempotent, Message, OnMessage, Retry, Saga, SagaContext, Step, Transactional } from '../index.js';

interface State {
  id: string;
}

@Injectable()
class Ledger {
  readonly lines: string[] = [];
}

@Saga('order', { version: 1 })
class OrderSaga {
  constructor(@Inject(Ledger) private readonly ledger: Ledger) {}

  @Step()
  @Compensate('release')
  @Retry(3)
  async reserve(_saga: SagaContext<State>): Promise<void> {
    this.ledger.lines.push('reserve');
  }

  @Retry(3)
  async release(_saga: SagaContext<State>): Promise<void> {
    this.ledger.lines.push('release');
  }
}

describe('a saga in an application', () => {
  it('is brought to the engine once, with its instance', async () => {
    const { engine } = await recordingApp({ providers: [OrderSaga, Ledger] });
    expect(engine.transcript).toEqual(['saga OrderSaga', 'start']);
  });

  it('has steps and compensations that a test may call by hand, without their policies', async () => {
    const { app, engine } = await recordingApp({ providers: [OrderSaga, Ledger] });
    const context = {} as SagaContext<State>;
    await app.get(OrderSaga).reserve(context);
    await app.get(OrderSaga).release(context);
    expect(app.get(Ledger).lines).toEqual(['reserve', 'release']);
    expect([engine.guarded, engine.transcript]).toEqual([[], ['saga OrderSaga', 'start']]);
  });
});

describe('the start is refused', () => {
  it('when steps stand in a class that is no saga, or a saga has policies it already keeps', async () => {
    @Injectable()
    class NoSaga {
      @Step()
      async it(_saga: SagaContext<State>): Promise<void> {}
    }
    @Saga('twice', { version: 1 })
    class Twice {
      @Step()
      @Transactional()
      @Idempotent({ key: () => 'k' })
      @Compensate('undo')
      async it(_saga: SagaContext<State>): Promise<void> {}
      @Transactional({ isolation: 'SERIALIZABLE' })
      @Idempotent({ key: () => 'k' })
      async undo(_saga: SagaContext<State>): Promise<void> {}
    }
    class NoHandler {
      @EventPattern<string>('trip.requested')
      @Compensate('undo')
      async it(_saga: SagaContext<State>): Promise<void> {}
      async undo(_saga: SagaContext<State>): Promise<void> {}
    }
    @Saga('circle', { version: 1 })
    class Circle {
      @Step()
      @Compensate('one')
      async one(_saga: SagaContext<State>): Promise<void> {}
    }
    expect(await problemsOf(recordingApp({ providers: [NoSaga, Twice, NoHandler, Circle] }))).toEqual([
      'NoSaga is no saga: put @Saga on it',
      'Twice: @Transactional stands on the step it, which has a unit of work already: remove it',
      "Twice: @Idempotent stands on the step it, whose effect is one commit with the saga's progress: remove it",
      'Twice: @Transactional stands on the compensation undo, which has a unit of work already: remove it',
      "Twice: @Idempotent stands on the compensation undo, whose effect is one commit with the saga's progress: remove it",
      '@Compensate stands on NoHandler.it, which is no step of a saga and no handler with @OnMessage: move it to one',
      'Circle: one is a step, and @Compensate names it as what undoes one: give that a method of its own',
    ]);
  });

  it('when guards, pipes, interceptors or filters stand on a saga, its steps or what undoes them, around which none runs', async () => {
    class Around {
      canActivate = () => false;
      intercept = () => undefined as never;
      transform = (value: unknown) => value;
      catch = () => undefined;
    }
    @Saga('guarded', { version: 1 })
    @UseFilters(Around)
    class Guarded {
      @UseGuards(Around)
      @Step()
      @UsePipes(Around)
      @Compensate('undo')
      async it(_saga: SagaContext<State>): Promise<void> {}
      @UseInterceptors(Around)
      @Retry(3)
      async undo(_saga: SagaContext<State>): Promise<void> {}
    }
    const rest = 'guards, pipes, interceptors and filters run around handlers only: remove it';
    expect(await problemsOf(recordingApp({ providers: [Guarded] }))).toEqual([
      `@UseFilters stands on the saga Guarded, and ${rest}`,
      `@UseGuards stands on Guarded.it, and ${rest}`,
      `@UsePipes stands on Guarded.it, and ${rest}`,
      `@UseInterceptors stands on Guarded.undo, and ${rest}`,
    ]);
  });

  it('when a saga has no instance of its own for the whole application', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {}
    @Saga('scoped', { version: 1 })
    class Scoped {
      constructor(@Inject(PerRequest) readonly request: PerRequest) {}
      @Step()
      async it(_saga: SagaContext<State>): Promise<void> {}
    }
    const sentence =
      'the saga Scoped has one instance per request or per user: its steps run outside any request, so make it and what it injects singletons';
    expect(await problemsOf(recordingApp({ providers: [PerRequest, Scoped] }))).toEqual([sentence]);
  });
});

@Message('card.charge')
class ChargeCard extends Command {}

@Message('card.refund')
class RefundCard extends Command {}

describe('a handler with @Compensate over a command', () => {
  it('is brought to the engine with the command whose requests it undoes', async () => {
    @Injectable()
    class Cards {
      @Idempotent()
      @Compensate(ChargeCard)
      @OnMessage(RefundCard)
      async refund(_command: RefundCard): Promise<void> {}
    }
    const { engine } = await recordingApp({ providers: [Cards] });
    expect(engine.subscriptions.map(({ policies }) => policies)).toMatchObject([
      { name: 'card.refund', compensates: ChargeCard, idempotent: {} },
    ]);
  });

  it('is refused where no message reaches it', async () => {
    @Injectable()
    class Cards {
      @Compensate(ChargeCard)
      async refund(_command: RefundCard): Promise<void> {}
    }
    expect(await problemsOf(recordingApp({ providers: [Cards] }))).toEqual([
      'Cards.refund: @Compensate(ChargeCard) is about what @OnMessage brings, and it is no such handler: add @OnMessage',
    ]);
  });
});
