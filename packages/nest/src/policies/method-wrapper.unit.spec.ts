import 'reflect-metadata';
import { Message, Retry } from '@holdfast/core';
import { Inject, Injectable, Scope, SetMetadata } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { recordingApp } from '../../../../test/nest/support/recording-engine.js';
import { delivery } from '../handlers/handler-scene.spec.js';
import { Idempotent, OnMessage, Transactional } from '../index.js';

@Message('order.placed')
class OrderPlaced {}

@Injectable()
class Orders {
  @Transactional()
  async place(...items: string[]) {
    return `${this.constructor.name}: ${items.join()}`;
  }

  async placeTwo() {
    return [await this.place('a'), await this.place('b')];
  }

  @Retry(3)
  async tried() {
    return 'tried';
  }
}

@Injectable({ scope: Scope.REQUEST })
class RequestOrders extends Orders {}

@Injectable({ scope: Scope.TRANSIENT })
class TransientOrders extends Orders {}

@Injectable()
class User {
  constructor(@Inject(TransientOrders) readonly orders: TransientOrders) {}
}

const UNIT = 'transactional({})';

describe('a direct call of a decorated method keeps its policies', () => {
  it('on a provider, also through `this` in the same class', async () => {
    const { app, engine } = await recordingApp({ providers: [Orders] });
    await expect(app.get(Orders).place('x')).resolves.toBe('Orders: x');
    await expect(app.get(Orders).placeTwo()).resolves.toEqual(['Orders: a', 'Orders: b']);
    expect(engine.transcript).toEqual(['start', UNIT, UNIT, UNIT]);
    await app.close();
  });

  it('on a request-scoped and on a transient provider', async () => {
    const { app, engine } = await recordingApp({ providers: [RequestOrders, TransientOrders, User] });
    await expect((await app.resolve(RequestOrders)).place('x')).resolves.toBe('RequestOrders: x');
    await expect(app.get(User).orders.place('y')).resolves.toBe('TransientOrders: y');
    expect(engine.transcript).toEqual(['start', UNIT, UNIT]);
    await app.close();
  });

  it('on what a factory made or what is given as a value', async () => {
    const { app, engine } = await recordingApp({
      providers: [
        { provide: 'made', useFactory: () => new Orders() },
        { provide: 'given', useValue: new Orders() },
      ],
    });
    await app.get<Orders>('made').place('x');
    await app.get<Orders>('given').place('x');
    expect(engine.transcript).toEqual(['start', UNIT, UNIT]);
    await app.close();
  });

  it('with @Retry alone, which core declares without knowing Nest', async () => {
    const { app, engine } = await recordingApp({ providers: [Orders] });
    await expect(app.get(Orders).tried()).resolves.toBe('tried');
    expect(engine.transcript).toEqual(['start', 'retry(3)']);
    await app.close();
  });

  it('in each of two applications that share the class', async () => {
    const one = await recordingApp({ providers: [Orders] });
    const two = await recordingApp({ providers: [Orders] });
    await one.app.get(Orders).place('x');
    await two.app.get(Orders).tried();
    expect(one.engine.transcript).toEqual(['start', UNIT]);
    expect(two.engine.transcript).toEqual(['start', 'retry(3)']);
    await Promise.all([one.app.close(), two.app.close()]);
  });

  it('refuses an instance that two living applications share, and takes it when the first has ended', async () => {
    const providers = [{ provide: 'given', useValue: new Orders() }];
    const first = await recordingApp({ providers });
    await expect(recordingApp({ providers })).rejects.toThrow(
      'an instance of Orders is shared with another application of this process: make one for each',
    );
    await first.app.close();
    const second = await recordingApp({ providers });
    await second.app.get<Orders>('given').place('x');
    expect(second.engine.transcript).toContain(UNIT);
    await second.app.close();
  });
});

describe('what is inherited', () => {
  class Base {
    @Idempotent({ key: (id) => id })
    async kept(_id: string) {
      return `kept by ${this.constructor.name}`;
    }

    @Idempotent({ key: (id) => id })
    async overridden(_id: string) {
      return 'base';
    }

    @Transactional()
    async plain() {
      return 'base';
    }
  }
  @Injectable()
  class One extends Base {
    @Idempotent({ key: (id) => id })
    override async overridden(id: string) {
      return `one, ${await super.overridden(id)}`;
    }

    override async plain() {
      return 'undecorated';
    }
  }
  @Injectable()
  class Two extends Base {}

  it('is remembered apart for each class, and apart from what `super` reaches', async () => {
    const { app, engine } = await recordingApp({ providers: [One, Two] });
    expect(engine.guarded.sort()).toEqual([
      'One.Base.overridden',
      'One.Base.plain',
      'One.kept',
      'One.overridden',
      'Two.kept',
      'Two.overridden',
      'Two.plain',
    ]);
    await expect(app.get(One).overridden('1')).resolves.toBe('one, base');
    await expect(app.get(Two).kept('1')).resolves.toBe('kept by Two');
    expect(engine.transcript).toEqual(['start', 'idempotent({})', 'idempotent({})', 'idempotent({})']);
    await app.close();
  });

  it('keeps its policies where a handler without any reaches it through `super`', async () => {
    class Charging {
      @Transactional()
      async charge(_event: OrderPlaced) {
        return 'charged';
      }
    }
    @Injectable()
    class Billing extends Charging {
      @OnMessage(OrderPlaced, { name: 'billing.charge' })
      override async charge(placed: OrderPlaced) {
        return super.charge(placed);
      }
    }
    const { app, engine } = await recordingApp({ providers: [Billing] });
    await expect(engine.subscriptions[0]?.handler(new OrderPlaced(), delivery('m-1'))).resolves.toBe('charged');
    expect(engine.transcript).toEqual(['start', UNIT]);
    await app.close();
  });

  it('keeps its policies where a handler without any calls it on an instance of its base class', async () => {
    @Injectable()
    class Charging {
      @Transactional()
      async charge(_event: OrderPlaced) {
        return this.constructor.name;
      }
    }
    @Injectable()
    class Billing extends Charging {
      @Inject(Charging) readonly charging!: Charging;

      @OnMessage(OrderPlaced, { name: 'billing.charge' })
      override async charge(placed: OrderPlaced) {
        return this.charging.charge(placed);
      }
    }
    const { app, engine } = await recordingApp({ providers: [Billing, Charging] });
    await expect(engine.subscriptions[0]?.handler(new OrderPlaced(), delivery('m-1'))).resolves.toBe('Charging');
    expect(engine.transcript).toEqual(['start', UNIT]);
    await app.close();
  });

  it('has no policies where a subclass overrides the method without decorators', async () => {
    const { app, engine } = await recordingApp({ providers: [One] });
    await expect(app.get(One).plain()).resolves.toBe('undecorated');
    expect(engine.transcript).toEqual(['start']);
    await app.close();
  });
});

it('does not let two classes of one name share their policies', async () => {
  const make = (options: object) => {
    @Injectable()
    class Twin {
      @Transactional(options)
      async run() {}
    }
    return Twin;
  };
  const [A, B] = [make({ timeout: 1 }), make({ timeout: 2 })];
  const { app, engine } = await recordingApp({ providers: [A, B] });
  await app.get(A).run();
  await app.get(B).run();
  expect(engine.transcript).toEqual(['start', 'transactional({"timeout":1})', 'transactional({"timeout":2})']);
  await app.close();
});

describe('the wrapper passes for the method', () => {
  it('keeps its name, its number of parameters and the metadata of decorators below and above it', () => {
    class Orders {
      @SetMetadata('above', 1)
      @Transactional()
      @SetMetadata('below', 2)
      async place(_one: string, _two: string) {}
    }
    const { place } = Orders.prototype;
    expect([place.name, place.length, Reflect.getMetadata('above', place), Reflect.getMetadata('below', place)]).toEqual([
      'place',
      2,
      1,
      2,
    ]);
    expect(Reflect.getMetadata('design:paramtypes', Orders.prototype, 'place')).toEqual([String, String]);
  });

  it('leaves nothing that can be seen on the instance', async () => {
    const { app } = await recordingApp({ providers: [Orders] });
    expect(app.get(Orders)).toStrictEqual(new Orders());
    expect(JSON.stringify(app.get(Orders))).toBe('{}');
    await app.close();
  });
});

describe('without HoldfastModule', () => {
  const sentence =
    'needs Holdfast, and no HoldfastModule is registered in this application. Add HoldfastModule.forRoot({ ... }) to the imports of the root module.';

  it('a policy cannot be kept, and the call names the class and the method', async () => {
    const app = await Test.createTestingModule({ providers: [Orders] }).compile();
    await expect(app.get(Orders).place()).rejects.toThrow(`Orders.place ${sentence}`);
    await expect(new Orders().tried()).rejects.toThrow(`Orders.tried ${sentence}`);
    await app.close();
  });

  it('a handler called by hand needs nothing unless it is transactional', async () => {
    class Billing {
      @OnMessage(OrderPlaced, { name: 'billing.charge' })
      @Retry(5)
      @Idempotent()
      async charge(_event: OrderPlaced) {
        return 'charged';
      }

      @OnMessage(OrderPlaced, { name: 'billing.book' })
      @Transactional()
      async book(_event: OrderPlaced) {}
    }
    await expect(new Billing().charge(new OrderPlaced())).resolves.toBe('charged');
    await expect(new Billing().book(new OrderPlaced())).rejects.toThrow(`Billing.book ${sentence}`);
  });
});
