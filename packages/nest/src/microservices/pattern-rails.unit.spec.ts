import { Command, Message, Retry } from '@holdfast/core';
import { Controller, Injectable, Logger, Module, SetMetadata, type INestApplication, type Provider, type Type } from '@nestjs/common';
import { type CustomTransportStrategy, EventPattern, MessagePattern, Payload, Server, Transport } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { problemsOf, RecordingEngine, anyOptions, silent } from '../../../../test/nest/support/recording-engine.js';
import { Durable, HOLDFAST_TRANSPORT, HoldfastModule, HoldfastStrategy, Holdfast, OnMessage, Transactional } from '../index.js';

interface Scene {
  readonly app: INestApplication;
  readonly engine: RecordingEngine;
}

/** An application as main.ts makes it, whose engine only writes down; nothing is initialised. */
async function scene(controllers: Type[], providers: Provider[] = [], imports: Type[] = []): Promise<Scene> {
  const engine = new RecordingEngine();
  const module = await Test.createTestingModule({ imports: [HoldfastModule.forRoot(anyOptions), ...imports], controllers, providers })
    .setLogger(silent)
    .overrideProvider(Holdfast)
    .useFactory({
      inject: [Symbol.for('holdfast.nest.host')],
      factory: (host: { attach(engine: unknown): void }) => {
        host.attach(engine);
        return engine;
      },
    })
    .compile();
  return { app: module.createNestApplication(), engine };
}

async function connected(...controllers: Type[]): Promise<Scene> {
  const made = await scene(controllers);
  made.app.connectMicroservice({ strategy: made.app.get(HoldfastStrategy) });
  return made;
}

const refusal = async (...controllers: Type[]) => problemsOf((await connected(...controllers)).app.init());

/** What `connectMicroservice` is refused with. */
const connection = (...controllers: Type[]) => connected(...controllers).catch((error: unknown) => error);

/** A strategy that has nothing to do. */
class Idle extends Server implements CustomTransportStrategy {
  listen(started: () => void): void {
    started();
  }
  close(): void {}
  on(): void {}
  unwrap<T>(): T {
    return undefined as T;
  }
}

@Message('order.placed')
class OrderPlaced {
  constructor(readonly orderId: string) {}
}
@Message('order.ship')
class ShipOrder extends Command {}

describe('a handler with a pattern', () => {
  it('is one subscription with the name and options of @Durable and the policies of its decorators', async () => {
    @Controller()
    class Stock {
      @Transactional()
      @EventPattern<string>('order.placed')
      @Retry(7)
      @Durable({ name: 'stock.reserve', ordering: 'key', concurrency: 2 })
      async reserve(_order: OrderPlaced): Promise<void> {}
    }
    const { app, engine } = await connected(Stock);
    await app.init();
    expect(engine.subscriptions).toMatchObject([
      { types: [OrderPlaced], policies: { name: 'stock.reserve', ordering: 'key', concurrency: 2, retry: 7, transactional: {} } },
    ]);
    expect(engine.transcript).toEqual(['hold stock.reserve', 'start']);
    await app.startAllMicroservices();
    expect(engine.transcript).toEqual(['hold stock.reserve', 'start', 'release']);
  });

  it('is not kept back where the microservice listens before the application initialises', async () => {
    @Controller()
    class Stock {
      @EventPattern<string>('order.placed')
      @Durable({ name: 'stock.reserve' })
      reserve(): void {}
    }
    const { app, engine } = await connected(Stock);
    await app.startAllMicroservices();
    await app.init();
    expect(engine.transcript).toEqual(['release', 'start']);
  });

  it('of an ancestor is one of the controller that inherits it', async () => {
    abstract class Base {
      @EventPattern<string>('order.placed')
      @Durable({ name: 'inherited' })
      handle(): void {}
    }
    @Controller()
    class Inheriting extends Base {}
    const { app, engine } = await connected(Inheriting);
    await app.init();
    expect(engine.subscriptions).toMatchObject([{ policies: { name: 'inherited' } }]);
  });

  it('of a controller that several modules have is one subscription', async () => {
    @Controller()
    class Shared {
      @EventPattern<string>('order.placed')
      @Durable({ name: 'shared' })
      handle(): void {}
    }
    @Module({ controllers: [Shared] })
    class Feature {}
    const { app, engine } = await scene([Shared], [], [Feature]);
    app.connectMicroservice({ strategy: app.get(HoldfastStrategy) });
    await app.init();
    expect(engine.subscriptions).toMatchObject([{ policies: { name: 'shared' } }]);
  });

  it('for another transport is none of the strategy, and one for the strategy is none of another', async () => {
    @Controller()
    class Several {
      @EventPattern<string>('a', Transport.TCP)
      tcp(): void {}

      @EventPattern<string>('b', HOLDFAST_TRANSPORT)
      @Durable({ name: 'ours' })
      ours(): void {}
    }
    const { app, engine } = await connected(Several);
    await app.init();
    expect(engine.subscriptions).toMatchObject([{ policies: { name: 'ours' } }]);
  });
});

it('a microservice whose handlers Nest adds when it listens is served once, where that is before the application initialises', async () => {
  @Controller()
  class Deferred {
    @EventPattern<string>('order.placed')
    @Durable({ name: 'deferred' })
    handle(): void {}
  }
  const { app, engine } = await scene([Deferred]);
  app.connectMicroservice({ strategy: app.get(HoldfastStrategy) }, { deferInitialization: true });
  await app.startAllMicroservices();
  await app.init();
  expect(engine.subscriptions).toMatchObject([{ policies: { name: 'deferred' } }]);
  expect(engine.transcript).toEqual(['hold deferred', 'start', 'release']);
});

it('microservices that initialise the application side by side wait for the one that came first', async () => {
  @Injectable()
  class Late {
    @OnMessage(OrderPlaced, { name: 'late' })
    handle(): void {}
  }
  const { app, engine } = await scene([], [Late]);
  const told: string[] = [];
  jest.spyOn(engine, 'open').mockImplementation(async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    told.push('open');
  });
  jest.spyOn(engine, 'start').mockImplementation(async () => void told.push('start'));
  for (const _ of [1, 2]) app.connectMicroservice({ strategy: new Idle() }, { deferInitialization: true });
  await app.startAllMicroservices();
  expect(told).toEqual(['open', 'start']);
});

it('a microservice that is connected and does not listen is told of after a while', async () => {
  @Controller()
  class Waiting {
    @EventPattern<string>('order.placed')
    @Durable({ name: 'waiting' })
    handle(): void {}
  }
  const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  try {
    const silentOne = await connected(Waiting);
    await silentOne.app.init();
    const listening = await connected(Waiting);
    await listening.app.init();
    await listening.app.startAllMicroservices();
    jest.advanceTimersByTime(60_000);
    expect(warn.mock.calls).toEqual([[expect.stringMatching(/Waiting\.handle wait\. Call app\.startAllMicroservices\(\)/)]]);
  } finally {
    jest.useRealTimers();
    warn.mockRestore();
  }
});

describe('refused at start', () => {
  it('an event handler without a name', async () => {
    @Controller()
    class Nameless {
      @EventPattern<string[]>(['order.placed', 'order.paid'])
      handle(): void {}
    }
    await expect(refusal(Nameless)).resolves.toEqual([
      expect.stringMatching(
        /^Nameless\.handle handles .*order\.placed.*order\.paid.* no name.*@Durable\(.*Transport\.TCP.*HF_NEST_SUBSCRIPTION_NAME/s,
      ),
    ]);
  });

  it('two handlers of one name, also where one has @OnMessage', async () => {
    @Controller()
    class Twins {
      @EventPattern<string>('order.placed')
      @Durable({ name: 'twin' })
      first(): void {}

      @EventPattern<string>('order.paid')
      @Durable({ name: 'twin' })
      second(): void {}

      @OnMessage(OrderPlaced, { name: 'twin' })
      async third(_event: OrderPlaced): Promise<void> {}
    }
    await expect(refusal(Twins)).resolves.toEqual([
      expect.stringMatching(/Twins\.first and Twins\.second and Twins\.third.*HF_SUBSCRIPTION_DUPLICATE/),
    ]);
  });

  it('two controllers that inherit one handler, by each way of naming it, and none that overrides it', async () => {
    abstract class Base {
      @EventPattern<string>('order.placed')
      @Durable({ name: 'stock.reserve' })
      reserve(): void {}

      @MessagePattern('stock.count')
      count(): void {}
    }
    @Controller()
    class Shoes extends Base {}
    @Controller()
    class Shirts extends Base {}
    @Controller()
    class Silent extends Base {
      override reserve(): void {}
      override count(): void {}
    }
    await expect(refusal(Shoes, Shirts, Silent)).resolves.toEqual([
      expect.stringMatching(/stock\.reserve: Shoes\.reserve and Shirts\.reserve\. .*HF_SUBSCRIPTION_DUPLICATE/),
      expect.stringMatching(/stock\.count: Shoes\.count and Shirts\.count\. .*HF_SUBSCRIPTION_DUPLICATE/),
    ]);
  });

  it.each([
    ['Idempotent', 'nestjs:idempotent', true],
    ['Retry', 'resilience:retry', true],
    ['Idempotent', 'nestjs:idempotent', false],
    ['Retry', 'resilience:retry', false],
  ])(
    '@%s of another package (metadata %s) on such a handler, with the right import (beside decorators of ours: %p)',
    async (name, key, beside) => {
      @Controller()
      class Mixed {
        @EventPattern<string>('order.placed')
        @SetMetadata(key, {})
        handle(): void {}

        @MessagePattern('stock.count')
        @SetMetadata(key, {})
        count(): void {}
      }
      const names = ['handle', 'count'] as const;
      const decorate = (method: (typeof names)[number], decorator: MethodDecorator) =>
        decorator(Mixed.prototype, method, Object.getOwnPropertyDescriptor(Mixed.prototype, method) as PropertyDescriptor);
      decorate('handle', Durable({ name: 'mixed' }));
      if (beside) decorate('count', Durable({ name: 'count' }));
      const problems = await refusal(Mixed);
      for (const method of names)
        expect(problems).toContainEqual(
          expect.stringMatching(
            new RegExp(`^Mixed\\.${method} carries a @${name} that is not of Holdfast.*import \\{ ${name} \\} from '@holdfast/nest'`),
          ),
        );
    },
  );

  it('a time-out of another package', async () => {
    @Controller()
    class Mixed {
      @EventPattern<string>('order.placed')
      @Durable({ name: 'mixed' })
      @SetMetadata('resilience:timeout', 1)
      handle(): void {}
    }
    await expect(refusal(Mixed)).resolves.toEqual([expect.stringContaining('resilience:timeout')]);
  });

  it('a payload that is the message of another pattern, or a command where an event is handled', async () => {
    @Controller()
    class Confused {
      @EventPattern<string>('order.paid')
      @Durable({ name: 'a' })
      paid(@Payload() _order: OrderPlaced): void {}

      @EventPattern<string>('order.ship')
      @Durable({ name: 'b' })
      ship(@Payload() _order: ShipOrder): void {}
    }
    await expect(refusal(Confused)).resolves.toEqual([
      expect.stringMatching(/Confused\.paid handles order\.paid, and its payload is OrderPlaced, the class of order\.placed/),
      expect.stringMatching(/Confused\.ship .*ShipOrder, which is a command/),
    ]);
  });

  it('@Durable where no microservice has the handler, and what to call', async () => {
    @Controller()
    class Waiting {
      @EventPattern<string>('order.placed')
      @Durable({ name: 'waiting' })
      handle(): void {}
    }
    const { app } = await scene([Waiting]);
    await expect(problemsOf(app.init())).resolves.toEqual([
      expect.stringMatching(
        /Waiting\.handle has @Durable.*app\.connectMicroservice\(\{ strategy: app\.get\(HoldfastStrategy\) \}\).*HF_NEST_STRATEGY_MISSING/,
      ),
    ]);
  });

  it('@Durable on a provider, which Nest does not look at, and beside @OnMessage', async () => {
    @Injectable()
    class Service {
      @EventPattern<string>('order.placed')
      @Durable({ name: 'service' })
      handle(): void {}

      @OnMessage(OrderPlaced, { name: 'both' })
      @Durable({ name: 'both' })
      async both(_event: OrderPlaced): Promise<void> {}
    }
    const { app } = await scene([], [Service]);
    await expect(problemsOf(app.init())).resolves.toEqual([
      expect.stringMatching(/Service\.handle has @Durable.*controllers.*HF_NEST_STRATEGY_MISSING/),
      expect.stringMatching(/Service\.both has @OnMessage and/),
    ]);
  });

  it.each([
    ['order.*', 'wildcard'],
    ['#', 'wildcard'],
    ['orders/+/placed', 'wildcard'],
    [undefined, 'neither a text nor an object'],
    [/order/, 'plain object'],
    [{ a: { b: { c: { d: { e: { f: { g: 1 } } } } } } }, 'nested deeper'],
    [Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`k${index}`, 1])), 'more than 20 keys'],
  ])('the pattern %p, when the microservice is connected', async (pattern, reason) => {
    @Controller()
    class Odd {
      @EventPattern<unknown>(pattern)
      @Durable({ name: 'odd' })
      handle(): void {}
    }
    await expect(connection(Odd)).resolves.toMatchObject({ code: 'HF_NEST_PATTERN', message: expect.stringContaining(reason) });
  });

  it('a microservice that is connected after the application has initialised', async () => {
    @Controller()
    class Late {
      @EventPattern<string>('order.placed')
      handle(): void {}
    }
    const { app } = await scene([Late]);
    await app.init();
    const connect = () => app.connectMicroservice({ strategy: app.get(HoldfastStrategy) });
    expect(connect).toThrow(expect.objectContaining({ code: 'HF_NEST_STRATEGY_LATE' }));
  });

  it('an event of the bus that there is not', async () => {
    const { app } = await scene([]);
    const listen = () => app.get(HoldfastStrategy).on('error', () => undefined);
    expect(listen).toThrow(expect.objectContaining({ code: 'HF_CAPABILITY_UNSUPPORTED' }));
  });
});
