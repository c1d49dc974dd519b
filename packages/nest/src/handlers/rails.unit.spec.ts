import { Command, Message } from '@holdfast/core';
import { Body, Controller, createParamDecorator, Injectable, Module, Post, Scope, SetMetadata } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { problemsOf, recordingApp } from '../../../../test/nest/support/recording-engine.js';
import { HoldfastModule, Idempotent, OnMessage, Retry, Transactional } from '../index.js';
import { anyOptions } from '../../../../test/nest/support/recording-engine.js';

@Message('order.placed')
class OrderPlaced {
  constructor(readonly orderId: string) {}
}

@Message('order.cancelled')
class OrderCancelled {
  constructor(readonly orderId: string) {}
}

@Message('card.charge')
class ChargeCard extends Command {
  constructor(readonly orderId: string) {
    super();
  }
}

describe('the start is refused', () => {
  it('when a decorator of another package stands on a method of ours, with the right import in the sentence', async () => {
    @Injectable()
    class Billing {
      @OnMessage(OrderPlaced, { name: 'billing.charge' })
      @SetMetadata('nestjs:idempotent', {})
      async charge(_event: OrderPlaced) {}

      @Transactional()
      @SetMetadata('resilience:retry', {})
      async book() {}

      @SetMetadata('resilience:timeout', {})
      @OnMessage(OrderPlaced, { name: 'billing.gift' })
      async gift(_event: OrderPlaced) {}

      @SetMetadata('resilience:retry', {})
      async notOurs() {}
    }
    expect(await problemsOf(recordingApp({ providers: [Billing] }))).toEqual([
      "Billing.charge carries a @Idempotent that is not of Holdfast (metadata nestjs:idempotent). Import it with: import { Idempotent } from '@holdfast/nest'. (HF_DECORATOR_FOREIGN)",
      "Billing.book carries a @Retry that is not of Holdfast (metadata resilience:retry). Import it with: import { Retry } from '@holdfast/nest'. (HF_DECORATOR_FOREIGN)",
      'Billing.gift carries the metadata resilience:timeout: that decorator would work inside the open transaction. Leave it out; time-out, retries and concurrency are options of Holdfast',
    ]);
  });

  it('when the parameter of a handler is a structural twin of its message', async () => {
    const Other = (() => {
      class OrderPlaced {
        constructor(readonly orderId: string) {}
      }
      return OrderPlaced;
    })();
    class Billing {
      async other(_event: OrderPlaced) {}
      async sameName(_event: unknown) {}
    }
    decorate(Billing, { other: OnMessage(OrderPlaced, { name: 'a' }) }, [OrderCancelled]);
    decorate(Billing, { sameName: OnMessage(OrderPlaced, { name: 'b' }) }, [Other]);
    expect(await problemsOf(recordingApp({ providers: [Billing] }))).toEqual([
      'Billing.other subscribes to OrderPlaced, and its parameter is of the class OrderCancelled. Two classes of the same shape are two messages: declare the parameter with the class the handler subscribes to (look at the imports)',
      'Billing.sameName subscribes to OrderPlaced, and its parameter is of the class OrderPlaced of another file. Two classes of the same shape are two messages: declare the parameter with the class the handler subscribes to (look at the imports)',
    ]);
  });

  it('when a name is used twice, with both handlers in the sentence', async () => {
    @Injectable()
    class Billing {
      @OnMessage(OrderPlaced, { name: 'billing.charge' })
      async charge(_event: OrderPlaced) {}
    }
    @Injectable()
    class Gifts {
      @OnMessage(OrderCancelled, { name: 'billing.charge' })
      async give(_event: OrderCancelled) {}
    }
    expect(await problemsOf(recordingApp({ providers: [Billing, Gifts] }))).toEqual([
      'Two handlers have the subscription name billing.charge: Billing.charge and Gifts.give. Give each handler a name of its own. (HF_SUBSCRIPTION_DUPLICATE)',
    ]);
  });

  it('when the message of a command without a name is not declared', async () => {
    class Charge extends Command {}
    @Injectable()
    class Billing {
      @OnMessage(Charge)
      async charge(_command: Charge) {}
    }
    expect(await problemsOf(recordingApp({ providers: [Billing] }))).toEqual([
      "Billing.charge: Charge is not declared as a message. Put @Message('<type>') on the class itself; a declaration is not inherited. (HF_MESSAGE_UNDECLARED)",
    ]);
  });

  it('when two classes of one name remember calls under it', async () => {
    const make = () => {
      class Gifts {
        async give(_id: string) {}
      }
      decorate(Gifts, { give: Idempotent({ key: (id: string) => id }) }, [String]);
      return Gifts;
    };
    expect(await problemsOf(recordingApp({ providers: [make(), make()] }))).toEqual([
      'two classes named Gifts have @Idempotent methods, and what they remember is kept by the name: rename one of them',
    ]);
  });

  it.each([
    ['for each request, because of what it injects', { inject: ['tenant'] }],
    ['for each request', { scope: Scope.REQUEST }],
    ['for each user', { scope: Scope.TRANSIENT }],
  ])('when a class whose methods are decorated comes from a factory that is called %s', async (_when, how) => {
    @Injectable()
    class Billing {
      @OnMessage(OrderPlaced, { name: 'billing.charge' })
      async charge(_event: OrderPlaced) {}
    }
    const tenant = { provide: 'tenant', scope: Scope.REQUEST, useFactory: () => 'one' };
    const billing = { provide: Billing, useFactory: () => new Billing(), ...how };
    expect(await problemsOf(recordingApp({ providers: [tenant, billing] }))).toEqual([
      'Billing comes from a factory that is called for each request or user: what it gives is not there to be looked at, so its handlers would never be called and its policies not be kept. Provide the class itself, in any scope, or let the factory inject only what is made once',
    ]);
  });

  it('when parameters of a handler have decorators, which nothing would look at', async () => {
    const Tenant = createParamDecorator(() => 'tenant');
    class Parse {
      transform = (value: unknown) => value;
    }
    @Controller()
    class Billing {
      @OnMessage(OrderPlaced, { name: 'billing.pipe' })
      async pipe(@Payload(Parse) _event: OrderPlaced) {}

      @OnMessage(OrderPlaced, { name: 'billing.tenant' })
      async tenant(_event: OrderPlaced, @Tenant() _tenant: unknown) {}

      @OnMessage(OrderPlaced, { name: 'billing.route' })
      @Post('charges')
      async route(@Body(new Parse()) _event: OrderPlaced) {}
    }
    const sentence = (name: string) =>
      `Billing.${name} has decorators on its parameters, and a handler is called with the message and the delivery: they would do nothing. Remove them, and put a pipe into @UsePipes`;
    expect(await problemsOf(recordingApp({ controllers: [Billing] }))).toEqual([sentence('pipe'), sentence('tenant')]);
  });

  it('with everything that is wrong together', async () => {
    @Injectable()
    class Billing {
      @OnMessage(OrderPlaced, { name: 'billing.charge' })
      @SetMetadata('resilience:retry', {})
      async charge(_event: OrderPlaced) {}

      @OnMessage(OrderPlaced, { name: 'billing.charge' })
      async again(_event: OrderPlaced) {}
    }
    expect(await problemsOf(recordingApp({ providers: [Billing] }))).toHaveLength(2);
  });

  it('when the module is registered twice in one application', async () => {
    const imports = [HoldfastModule.forRoot(anyOptions), HoldfastModule.forRoot(anyOptions)];
    expect(await problemsOf(recordingApp({ imports }))).toEqual([
      'HoldfastModule is registered 2 times in this application; it is global: keep the one in the root module',
    ]);
  });
});

describe('is no reason to refuse', () => {
  it('a value without a prototype, or with one that has no constructor', async () => {
    const bare = Object.assign(Object.create(null) as object, { key: 1 });
    const values = [bare, Object.create(bare) as object, Object.create(Object.create(bare) as object) as object];
    const providers = values.map((useValue, index) => ({ provide: `value-${index}`, useValue }));
    const { app } = await recordingApp({ providers });
    expect(app.get('value-0')).toBe(bare);
    await app.close();
  });

  it('a parameter typed by an interface, a union, a base class, or none at all', async () => {
    abstract class OrderEvent {
      abstract readonly orderId: string;
    }
    @Message('order.paid')
    class OrderPaid extends OrderEvent {
      constructor(readonly orderId: string) {
        super();
      }
    }
    interface Anything {
      readonly orderId: string;
    }
    @Injectable()
    class Audit {
      @OnMessage([OrderPlaced, OrderCancelled], { name: 'audit.union' })
      async union(_event: OrderPlaced | OrderCancelled) {}

      @OnMessage(OrderPlaced, { name: 'audit.interface' })
      async byInterface(_event: Anything) {}

      @OnMessage(OrderPaid, { name: 'audit.base' })
      async base(_event: OrderEvent) {}

      @OnMessage(OrderPlaced, { name: 'audit.none' })
      async none() {}
    }
    const { app, engine } = await recordingApp({ providers: [Audit] });
    expect(engine.subscriptions.map(({ policies }) => policies.name)).toEqual([
      'audit.union',
      'audit.interface',
      'audit.base',
      'audit.none',
    ]);
    await app.close();
  });

  it('a factory for each request that chooses among classes which are provided', async () => {
    abstract class Billing {
      @OnMessage(OrderPlaced, { name: 'billing.charge' })
      async charge(_event: OrderPlaced) {}
    }
    @Injectable({ scope: Scope.REQUEST })
    class CardBilling extends Billing {}
    const choice = { provide: Billing, inject: [CardBilling], useFactory: (one: Billing) => one };
    const { app, engine } = await recordingApp({ providers: [CardBilling, choice] });
    expect(engine.subscriptions.map(({ policies }) => policies.name)).toEqual(['billing.charge']);
    await app.close();
  });

  it('a provider that several modules have: it is one subscription', async () => {
    @Injectable()
    class Billing {
      @OnMessage(ChargeCard)
      @Retry(3)
      async charge(_command: ChargeCard) {}
    }
    @Module({ providers: [Billing] })
    class One {}
    @Module({ providers: [Billing, { provide: 'alias', useExisting: Billing }] })
    class Two {}
    const { app, engine } = await recordingApp({ imports: [HoldfastModule.forRoot(anyOptions), One, Two] });
    expect(engine.subscriptions.map(({ policies }) => policies)).toMatchObject([{ name: 'card.charge', retry: 3 }]);
    await app.close();
  });
});

/** Decorates a method as the compiler would, with parameter types of our choice. */
function decorate(target: { prototype: object; name: string }, decorators: Record<string, unknown>, types: unknown[]): void {
  for (const [name, decorator] of Object.entries(decorators)) {
    const descriptor = Object.getOwnPropertyDescriptor(target.prototype, name) as PropertyDescriptor;
    (decorator as MethodDecorator)(target.prototype, name, descriptor);
    Object.defineProperty(target.prototype, name, descriptor);
    Reflect.defineMetadata('design:paramtypes', types, target.prototype, name);
  }
  Injectable()(target as never);
}
