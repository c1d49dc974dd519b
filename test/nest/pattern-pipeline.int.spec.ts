// What Nest puts around its own handlers, under HoldfastStrategy: nothing in there may turn a failure into a success.
import { createTestDatabase, freePort, type TestDatabase, PATIENTLY } from '@holdfast-internal/test-support';
import { Durable, getDelivery, HoldfastContext, untypedMessage, Retry, Transactional } from '@holdfast/nest';
import {
  type ArgumentsHost,
  BadRequestException,
  type CallHandler,
  type CanActivate,
  Catch,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Inject,
  type NestInterceptor,
  type PipeTransform,
  type Provider,
  type Type,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { ClientProxyFactory, EventPattern, MessagePattern, RpcException, Transport } from '@nestjs/microservices';
import { defer, EMPTY, firstValueFrom, map, NEVER, type Observable, of, Subject, tap, throwError, timer } from 'rxjs';
import { type PatternApp, type PatternParts, startPatternApp } from './support/pattern-app.js';
import { Charges } from './support/shop.js';

let database: TestDatabase;
let made: PatternApp;

beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  await made.app.close();
  await database.drop();
});

const TWICE = Retry({ attempts: 2, backoff: { delay: '1s', jitter: 'none' } });

async function start(parts: PatternParts): Promise<void> {
  made = await startPatternApp(database.url, parts);
}

/** Delivers one message and lets the time of all its retries pass. */
async function deliver(data: unknown = {}): Promise<void> {
  await made.testing.deliver(untypedMessage('order.placed', 'event', data));
  await made.testing.clock.advance('1m');
  await made.testing.settled(PATIENTLY);
}

const letters = () => made.testing.deadLetters();

@Catch()
class Swallow implements ExceptionFilter {
  static readonly seen: unknown[] = [];
  catch(error: unknown, host: ArgumentsHost): unknown {
    Swallow.seen.push([host.getType(), (error as Error).message, getDelivery(host)?.attempt]);
    return of('all is well');
  }
}

/** A controller whose handler throws, or does what the test says. */
function failing(handler: () => unknown, ...decorators: MethodDecorator[]): Type {
  @Controller()
  class Failing {
    constructor(@Inject(Charges) private readonly charges: Charges) {}

    @EventPattern<string>('order.placed')
    @Durable({ name: 'failing', timeout: '5s' })
    @TWICE
    @Transactional()
    async handle(): Promise<void> {
      await this.charges.rows.insert({ orderId: 'written', attempt: 0 });
      return handler() as void;
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Failing.prototype, 'handle') as PropertyDescriptor;
  for (const decorate of decorators) decorate(Failing.prototype, 'handle', descriptor);
  return Failing;
}

const fail = (): never => {
  throw new Error('cannot');
};

describe('an exception filter that answers for an error', () => {
  beforeEach(() => {
    Swallow.seen.length = 0;
  });
  const filtered: [string, Omit<PatternParts, 'controllers'>, MethodDecorator[]][] = [
    ['of the method', {}, [UseFilters(Swallow)]],
    ['of the application', { providers: [{ provide: APP_FILTER, useClass: Swallow }] }, []],
    ['given to the application', { configure: (app) => void app.useGlobalFilters(new Swallow()) }, []],
  ];

  it.each(filtered)('%s sees it at each attempt, and the message has failed all the same', async (_where, parts, decorators) => {
    await start({ ...parts, controllers: [failing(fail, ...decorators)] });
    await deliver();
    await expect(letters()).resolves.toMatchObject([{ attempts: 2, error: { code: 'Error', message: 'cannot' } }]);
    await expect(made.rows()).resolves.toEqual([]);
    expect(Swallow.seen).toEqual([
      ['rpc', 'cannot', 1],
      ['rpc', 'cannot', 2],
    ]);
  });

  it('of the controller does so, too', async () => {
    const controller = failing(fail);
    UseFilters(Swallow)(controller);
    await start({ controllers: [controller] });
    await deliver();
    await expect(letters()).resolves.toMatchObject([{ attempts: 2, error: { message: 'cannot' } }]);
  });

  it('of the application is not asked where the microservice does not inherit what is of the application', async () => {
    class OfTheApplication extends Swallow {
      override catch = (): never => {
        throw new Error('of the application');
      };
    }
    await start({
      inheritAppConfig: false,
      controllers: [failing(fail)],
      providers: [{ provide: APP_FILTER, useClass: OfTheApplication }],
    });
    await deliver();
    await expect(letters()).resolves.toMatchObject([{ error: { message: 'cannot' } }]);
  });

  it('hides no error of a guard, a pipe or an interceptor', async () => {
    class Guard implements CanActivate {
      canActivate = (): never => {
        throw new Error('guard');
      };
    }
    class Pipe implements PipeTransform {
      transform = (): never => {
        throw new Error('pipe');
      };
    }
    class Interceptor implements NestInterceptor {
      intercept = (_context: ExecutionContext, next: CallHandler) => next.handle().pipe(tap(() => fail()));
    }
    const one = (name: string, decorate: MethodDecorator): Type => {
      @Controller()
      class One {
        @EventPattern<string>('order.placed')
        @Durable({ name })
        @Retry(false)
        @UseFilters(Swallow)
        async handle(_data: object): Promise<void> {}
      }
      decorate(One.prototype, 'handle', Object.getOwnPropertyDescriptor(One.prototype, 'handle') as PropertyDescriptor);
      return One;
    };
    await start({
      controllers: [one('guard', UseGuards(Guard)), one('pipe', UsePipes(Pipe)), one('interceptor', UseInterceptors(Interceptor))],
    });
    await deliver();
    const told = (await letters()).map(({ subscription, error }) => [subscription, error.message]).sort();
    expect(told).toEqual([
      ['guard', 'guard'],
      ['interceptor', 'cannot'],
      ['pipe', 'pipe'],
    ]);
  });
});

describe('the error a message fails with', () => {
  const replacing = (answer: (error: unknown) => unknown): MethodDecorator => {
    @Catch()
    class Replace implements ExceptionFilter {
      catch = answer;
    }
    return UseFilters(new Replace());
  };
  const rpc = () => {
    throw new RpcException('no stock');
  };
  const cases: [string, () => unknown, MethodDecorator[], object][] = [
    ['is its own, where Nest would answer "Internal server error"', fail, [], { message: 'cannot' }],
    ['is the RpcException, where Nest would answer with its text', rpc, [], { code: 'RpcException', message: 'no stock' }],
    [
      'is the one a filter throws in its place',
      fail,
      [
        replacing(() => {
          throw new BadRequestException('mapped');
        }),
      ],
      { message: 'mapped' },
    ],
    [
      'is the one of the observable a filter returns',
      fail,
      [replacing(() => throwError(() => new Error('mapped')))],
      { message: 'mapped' },
    ],
    ['is its own, where a filter returns nothing', fail, [replacing(() => undefined)], { message: 'cannot' }],
    [
      'is its own, where a filter written for HTTP breaks',
      fail,
      [replacing((_error) => (undefined as unknown as { status(): void }).status())],
      { message: 'cannot' },
    ],
  ];
  it.each(cases)('%s', async (_title, handler, decorators, error) => {
    await start({ controllers: [failing(handler, ...decorators)] });
    await deliver();
    await expect(letters()).resolves.toMatchObject([{ error }]);
  });
});

it('a guard that refuses, and a pipe that finds the payload invalid, leave a dead letter at once', async () => {
  class No implements CanActivate {
    canActivate = () => false;
  }
  class Invalid implements PipeTransform {
    transform = (): never => {
      throw new BadRequestException('no order id');
    };
  }
  @Controller()
  class Refusing {
    @EventPattern<string>('order.placed')
    @Durable({ name: 'guarded' })
    @UseGuards(No)
    guarded(): void {}

    @EventPattern<string>('order.placed')
    @Durable({ name: 'piped' })
    piped(): void {}
  }
  UsePipes(Invalid)(Refusing.prototype, 'piped', Object.getOwnPropertyDescriptor(Refusing.prototype, 'piped') as PropertyDescriptor);
  await start({ controllers: [Refusing] });
  await made.testing.deliver(untypedMessage('order.placed', 'event', {}));
  await made.testing.settled(PATIENTLY);
  const found = [...(await letters())].sort((a, b) => a.subscription.localeCompare(b.subscription));
  expect(found).toMatchObject([
    { subscription: 'guarded', attempts: 1, error: { message: 'Forbidden resource' } },
    { subscription: 'piped', attempts: 1, error: { message: 'no order id' } },
  ]);
});

describe('what surrounds a handler', () => {
  const seen: string[] = [];
  class Note implements CanActivate, PipeTransform, NestInterceptor {
    constructor(readonly name: string) {}
    canActivate(context: ExecutionContext): boolean {
      const given = context.switchToRpc().getContext();
      seen.push(`${this.name} guard of ${given instanceof HoldfastContext} ${getDelivery(context)?.attempt}`);
      return true;
    }
    transform(value: unknown): unknown {
      seen.push(`${this.name} pipe`);
      return value;
    }
    intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
      seen.push(`${this.name} before`);
      return next.handle().pipe(tap(() => seen.push(`${this.name} after`)));
    }
  }
  @Controller()
  class Quiet {
    @EventPattern<string>('order.placed')
    @Durable({ name: 'quiet' })
    @UseInterceptors(new Note('own'))
    handle(_data: object): void {
      seen.push('handler');
    }
  }
  const globals = (app: { useGlobalGuards(guard: CanActivate): unknown; useGlobalPipes(pipe: PipeTransform): unknown }, name: string) => {
    app.useGlobalGuards(new Note(name));
    app.useGlobalPipes(new Note(name));
  };
  const OF_MODULE: Provider = { provide: APP_GUARD, useFactory: () => new Note('module') };
  beforeEach(() => {
    seen.length = 0;
  });

  it('is that of the application, where the microservice inherits it', async () => {
    await start({ controllers: [Quiet], providers: [OF_MODULE], configure: (app) => globals(app, 'app') });
    await deliver();
    expect(seen).toEqual(['module guard of true 1', 'app guard of true 1', 'own before', 'app pipe', 'handler', 'own after']);
  });

  it('is that of the microservice only, where it does not', async () => {
    await start({ inheritAppConfig: false, controllers: [Quiet], providers: [OF_MODULE], configure: (app) => globals(app, 'app') });
    await deliver();
    expect(seen).toEqual(['own before', 'handler', 'own after']);
  });
});

it('an interceptor works inside the transaction of the handler, which is opened once, whatever its propagation', async () => {
  class FailAfter implements NestInterceptor {
    intercept = (_context: ExecutionContext, next: CallHandler) => next.handle().pipe(tap(() => fail()));
  }
  @Controller()
  class Fresh {
    constructor(@Inject(Charges) private readonly charges: Charges) {}

    @EventPattern<string>('order.placed')
    @Durable({ name: 'fresh' })
    @Retry(false)
    @Transactional({ propagation: 'REQUIRES_NEW' })
    @UseInterceptors(FailAfter)
    async handle(): Promise<void> {
      await this.charges.rows.insert({ orderId: 'written', attempt: 0 });
    }
  }
  await start({ controllers: [Fresh] });
  await deliver();
  await expect(letters()).resolves.toMatchObject([{ error: { message: 'cannot' } }]);
  await expect(made.rows()).resolves.toEqual([]);
});

describe('a handler that returns an observable', () => {
  const ONCE = { defaults: { retry: 1 } };
  /** Not `async`, as Nest allows: the stream is what it returns. */
  function streaming(stream: () => Observable<unknown>): Type {
    @Controller()
    class Streaming {
      @EventPattern<string>('order.placed')
      @Durable({ name: 'streaming', timeout: '5s' })
      @UseFilters(Swallow)
      handle(): Observable<unknown> {
        return stream();
      }
    }
    return Streaming;
  }

  it('is done when that completes', async () => {
    const seen: string[] = [];
    await start({
      holdfast: ONCE,
      controllers: [streaming(() => timer(5).pipe(map(() => seen.push('done'))))],
    });
    await deliver();
    expect(seen).toEqual(['done']);
    await expect(letters()).resolves.toEqual([]);
  });

  it('is done when that completes without a value', async () => {
    await start({ holdfast: ONCE, controllers: [streaming(() => EMPTY)] });
    await deliver();
    await expect(letters()).resolves.toEqual([]);
  });

  it('has failed when that fails, also where a filter answers', async () => {
    await start({ holdfast: ONCE, controllers: [streaming(() => timer(5).pipe(map(fail)))] });
    await deliver();
    await expect(letters()).resolves.toMatchObject([{ error: { message: 'cannot' } }]);
  });

  it('ends at the time-out of the attempt, and the stream with it', async () => {
    let isLeft = false;
    await start({ holdfast: ONCE, controllers: [streaming(() => NEVER.pipe(tap({ unsubscribe: () => (isLeft = true) })))] });
    await deliver();
    await expect(letters()).resolves.toMatchObject([{ error: { code: 'HF_HANDLER_TIMEOUT' } }]);
    expect(isLeft).toBe(true);
  });

  it('is refused where it ends in the context of somebody else, who could have swallowed its error', async () => {
    const shared = new Subject<string>();
    await start({
      holdfast: ONCE,
      controllers: [
        streaming(() =>
          defer(() => {
            setTimeout(() => undefined, 0);
            return shared.pipe(map(fail));
          }),
        ),
      ],
    });
    const ticking = setInterval(() => shared.next('tick'), 5);
    await deliver();
    clearInterval(ticking);
    await expect(letters()).resolves.toMatchObject([{ error: { code: 'HF_NEST_STREAM_CONTEXT' } }]);
  });
});

it('handlers of another transport in the same application keep the answers of their filters', async () => {
  @Controller()
  class Mixed {
    @MessagePattern('stock.count', Transport.TCP)
    @UseFilters(Swallow)
    count(): never {
      throw new Error('not here');
    }

    @EventPattern<string>('order.placed')
    @Durable({ name: 'mixed' })
    handle(): void {}
  }
  const port = await freePort();
  await start({
    controllers: [Mixed],
    configure: (app) => void app.connectMicroservice({ transport: Transport.TCP, options: { port } }),
  });
  const client = ClientProxyFactory.create({ transport: Transport.TCP, options: { port } });
  try {
    await expect(firstValueFrom(client.send('stock.count', 'sku'))).resolves.toBe('all is well');
    await deliver();
    await expect(letters()).resolves.toEqual([]);
  } finally {
    client.close();
  }
});
