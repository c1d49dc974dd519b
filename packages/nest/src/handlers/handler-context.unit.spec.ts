import { type Delivery, NonRetryableError } from '@holdfast/core';
import {
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  Catch,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  type PipeTransform,
  type Provider,
  Scope,
  SetMetadata,
  type Type,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE, REQUEST, Reflector } from '@nestjs/core';
import { EMPTY, of, throwError } from 'rxjs';
import { recordingApp } from '../../../../test/nest/support/recording-engine.js';
import { getDelivery, Transactional } from '../index.js';

import { deliver, delivery, event, on, OrderPlaced } from './handler-scene.spec.js';

describe('guards', () => {
  @Injectable()
  class OnlyFor implements CanActivate {
    constructor(@Inject(Reflector) private readonly reflector: Reflector) {}
    canActivate(context: ExecutionContext) {
      const wanted = this.reflector.get<string>('for', context.getHandler());
      return (
        context.getType<string>() === 'holdfast' &&
        context.getArgByIndex<OrderPlaced>(0).orderId === wanted &&
        getDelivery(context)?.id === 'm-1'
      );
    }
  }

  it('see message and delivery, and metadata of the handler', async () => {
    @Injectable()
    class Billing {
      @on() @UseGuards(OnlyFor) @Transactional() @SetMetadata('for', 'o-1') async charge(_event: OrderPlaced) {
        return 'charged';
      }
    }
    await expect(deliver(Billing)).resolves.toEqual(['charged']);
  });

  it('refuse for good: the error is the ForbiddenException that the engine takes for permanent', async () => {
    @Injectable()
    class Billing {
      @on() @UseGuards(OnlyFor) @SetMetadata('for', 'another') async charge(_event: OrderPlaced) {}
    }
    await expect(deliver(Billing)).rejects.toMatchObject({ name: 'ForbiddenException', message: 'Forbidden resource' });
  });
});

describe('what is around a handler runs', () => {
  const seen: string[] = [];
  @Injectable()
  class Around implements CanActivate, NestInterceptor, PipeTransform {
    canActivate() {
      seen.push('guards');
      return true;
    }
    intercept(_context: ExecutionContext, next: CallHandler) {
      seen.push('interceptors');
      return next.handle();
    }
    transform(value: unknown) {
      if (value instanceof OrderPlaced) seen.push('pipes');
      return value;
    }
  }
  @Catch()
  class Replace implements ExceptionFilter {
    catch() {
      throw new Error('replaced');
    }
  }
  const KINDS = [
    { kind: 'guards', decorator: UseGuards, token: APP_GUARD },
    { kind: 'interceptors', decorator: UseInterceptors, token: APP_INTERCEPTOR },
    { kind: 'pipes', decorator: UsePipes, token: APP_PIPE },
  ] as const;
  const plain = () => {
    @Injectable()
    class Billing {
      @on() async charge(_event: OrderPlaced) {}
    }
    return Billing;
  };

  beforeEach(() => seen.splice(0));

  it.each(KINDS)('$kind, of the method', async ({ kind, decorator }) => {
    @Injectable()
    class Billing {
      @on() @decorator(Around) async charge(_event: OrderPlaced) {}
    }
    await deliver(Billing);
    expect(seen).toEqual([kind]);
  });

  it.each(KINDS)('$kind, of a class that is extended', async ({ kind, decorator }) => {
    @decorator(Around)
    class Base {}
    @Injectable()
    class Billing extends Base {
      @on() async charge(_event: OrderPlaced) {}
    }
    await deliver(Billing);
    expect(seen).toEqual([kind]);
  });

  it.each(KINDS)('$kind, of the application', async ({ kind, token }) => {
    await deliver(plain(), [{ provide: token, useClass: Around }]);
    expect(seen).toEqual([kind]);
  });

  describe.each([
    ['for each message', Scope.REQUEST],
    ['for each class', Scope.TRANSIENT],
  ])('of the application and made %s', (_, scope) => {
    it.each(KINDS)('$kind would not run around a provider: the start says so', async ({ kind, token }) => {
      const around = { provide: token, useClass: Around, scope };
      const told = `Nest would not run Around of the ${kind} around it: make its class a controller, or give instances that are made once`;
      await expect(deliver(plain(), [around])).rejects.toThrow(told);
      await expect(deliver({ provide: 'billing', useClass: plain() }, [around])).rejects.toThrow(told);
    });

    it.each(KINDS)(
      '$kind would not be whole around a provider that is made for each message: the start says so',
      async ({ kind, token }) => {
        @Injectable({ scope: Scope.REQUEST })
        class Billing {
          @on() async charge(_event: OrderPlaced) {}
        }
        await expect(deliver(Billing, [{ provide: token, useClass: Around, scope }])).rejects.toThrow(`Around of the ${kind} around it`);
      },
    );

    it('filters would not run around a provider: the start says so', async () => {
      const filter = { provide: APP_FILTER, useClass: Around, scope };
      await expect(deliver(plain(), [filter])).rejects.toThrow('Nest would not run Around of the filters around it');
    });
  });

  describe('a handler that a factory makes', () => {
    const made = (Billing: Type) => ({ provide: 'billing', useFactory: () => new Billing() });

    it.each(KINDS)('$kind, of the application', async ({ kind, token }) => {
      await deliver(made(plain()), [{ provide: token, useClass: Around }]);
      expect(seen).toEqual([kind]);
    });

    it.each(KINDS)('$kind, given as an instance', async ({ kind, decorator }) => {
      @Injectable()
      class Billing {
        @on() @decorator(new Around()) async charge(_event: OrderPlaced) {}
      }
      await deliver(made(Billing));
      expect(seen).toEqual([kind]);
    });

    it.each(KINDS)('$kind, given as a class, would not run: the start says so', async ({ kind, decorator }) => {
      @Injectable()
      class Billing {
        @on() @decorator(Around) async charge(_event: OrderPlaced) {}
      }
      await expect(deliver(made(Billing))).rejects.toThrow(
        `Billing.charge: Nest would not run Around of the ${kind} around it: make its class a controller, or give instances that are made once`,
      );
    });

    it.each(KINDS)('$kind, made for each message, would not run: the start says so', async ({ kind, token }) => {
      const started = deliver(made(plain()), [{ provide: token, useClass: Around, scope: Scope.REQUEST }]);
      await expect(started).rejects.toThrow(`Nest would not run Around of the ${kind} around it: make its class a controller`);
    });

    it('filters, given as a class, would not run: the start says so', async () => {
      @Injectable()
      class Billing {
        @on() @UseFilters(Replace) async charge(_event: OrderPlaced) {}
      }
      await expect(deliver(made(Billing))).rejects.toThrow('Nest would not run Replace of the filters around it');
    });
  });

  describe('a controller', () => {
    const inController = async (Billing: Type, providers: Provider[] = []) => {
      const { app, engine } = await recordingApp({ controllers: [Billing], providers });
      await engine.subscriptions[0]?.handler(event, delivery('m-1'));
      await app.close();
    };

    it.each(KINDS)('$kind, of the method', async ({ kind, decorator }) => {
      @Controller()
      class Billing {
        @on() @decorator(Around) async charge(_event: OrderPlaced) {}
      }
      await inController(Billing);
      expect(seen).toEqual([kind]);
    });

    it.each(KINDS)('$kind, of the class', async ({ kind, decorator }) => {
      @decorator(Around)
      @Controller()
      class Billing {
        @on() async charge(_event: OrderPlaced) {}
      }
      await inController(Billing);
      expect(seen).toEqual([kind]);
    });

    it.each(KINDS)('$kind, of one that is made for each message', async ({ kind, decorator }) => {
      @decorator(Around)
      @Controller({ scope: Scope.REQUEST })
      class Billing {
        @on() async charge(_event: OrderPlaced) {}
      }
      await inController(Billing);
      expect(seen).toEqual([kind]);
    });

    it.each(KINDS)('$kind, of the application and made for each message', async ({ kind, token }) => {
      @Controller()
      class Billing {
        @on() async charge(_event: OrderPlaced) {}
      }
      await inController(Billing, [{ provide: token, useClass: Around, scope: Scope.REQUEST }]);
      expect(seen).toEqual([kind]);
    });

    it('filters', async () => {
      @Controller()
      class Billing {
        @on() @UseFilters(Replace) async charge(_event: OrderPlaced) {
          throw new Error('declined');
        }
      }
      await expect(inController(Billing)).rejects.toThrow('replaced');
    });
  });
});

it.each([
  ['with nothing around it', () => undefined],
  ['behind a guard', UseGuards({ canActivate: () => true })],
])('a handler %s may return an Observable, whose last value, if it has any, is its result', async (_, decorate) => {
  @Injectable()
  class Billing {
    @on() @(decorate as MethodDecorator) charge({ orderId }: OrderPlaced) {
      return (orderId === 'o-1' ? of('authorized', 'charged') : EMPTY) as never;
    }
  }
  await expect(deliver(Billing)).resolves.toEqual(['charged']);
  await expect(deliver(Billing, [], { message: new OrderPlaced('o-2') })).resolves.toEqual([undefined]);
});

describe('exception filters', () => {
  const failing = (filter?: unknown, error: unknown = new NonRetryableError('declined')) => {
    @Injectable()
    class Billing {
      @on()
      @UseFilters(...((filter ? [filter] : []) as never[]))
      async charge(_event: OrderPlaced) {
        throw error;
      }
    }
    return Billing;
  };
  const declined = { name: 'NonRetryableError', message: 'declined' };

  it.each([
    ['a value', 'all is well'],
    ['an observable', of('all is well')],
  ])('cannot turn a failure into a success by returning %s', async (_what, value) => {
    @Catch()
    class Swallow implements ExceptionFilter {
      catch = () => value;
    }
    await expect(deliver(failing(Swallow))).rejects.toMatchObject(declined);
    await expect(deliver(failing(), [{ provide: APP_FILTER, useClass: Swallow }])).rejects.toMatchObject(declined);
  });

  it('may look at the error and the delivery', async () => {
    const seen: unknown[] = [];
    @Catch(NonRetryableError)
    class Look implements ExceptionFilter {
      catch(error: Error, host: ArgumentsHost) {
        seen.push(error.message, host.getArgByIndex(0), getDelivery(host)?.id);
      }
    }
    await expect(deliver(failing(Look))).rejects.toMatchObject(declined);
    expect(seen).toEqual(['declined', event, 'm-1']);
  });

  it.each([
    [
      'throwing',
      (error: Error) => {
        throw new NonRetryableError('mapped', { cause: error });
      },
    ],
    ['a promise that rejects', (error: Error) => Promise.reject(new NonRetryableError('mapped', { cause: error }))],
    [
      'an observable that fails, as filters of message handlers do',
      (error: Error) => throwError(() => new NonRetryableError('mapped', { cause: error })),
    ],
  ])('may replace the error by %s', async (_what, replace) => {
    @Catch()
    class Replace implements ExceptionFilter {
      catch = replace;
    }
    const error = new Error('first');
    await expect(deliver(failing(Replace, error))).rejects.toMatchObject({ name: 'NonRetryableError', message: 'mapped', cause: error });
  });

  it('written for HTTP do not hide the error when they find no response', async () => {
    @Catch()
    class Http implements ExceptionFilter {
      catch = (error: Error, host: ArgumentsHost) => host.switchToHttp().getResponse().status(500).json({ message: error.message });
    }
    await expect(deliver(failing(Http))).rejects.toMatchObject(declined);
  });
});

describe('scopes', () => {
  it('a request-scoped handler is made for each message, and REQUEST is the delivery', async () => {
    let made = 0;
    @Injectable({ scope: Scope.REQUEST })
    class Tenant {
      readonly number = ++made;
      constructor(@Inject(REQUEST) readonly delivery: Delivery) {}
    }
    @Injectable()
    class Billing {
      constructor(@Inject(Tenant) private readonly tenant: Tenant) {}
      @on() @Transactional() async charge(_event: OrderPlaced, given: Delivery) {
        return [this.tenant.delivery.id, given.id];
      }
    }
    await expect(deliver(Billing, [Tenant], { ids: ['m-1', 'm-2'] })).resolves.toEqual([
      ['m-1', 'm-1'],
      ['m-2', 'm-2'],
    ]);
    expect(made).toBe(2);
  });

  it('a transient handler has one instance of its own', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Billing {
      private calls = 0;
      @on() async charge(_event: OrderPlaced) {
        return ++this.calls;
      }
    }
    await expect(deliver(Billing, [], { ids: ['m-1', 'm-2'] })).resolves.toEqual([1, 2]);
  });

  it('a controller may have handlers', async () => {
    @Controller()
    class Billing {
      @on() async charge(_event: OrderPlaced) {
        return 'charged';
      }
    }
    const { app, engine } = await recordingApp({ controllers: [Billing] });
    await expect(engine.subscriptions[0]?.handler(event, delivery('m-1'))).resolves.toBe('charged');
    await app.close();
  });
});

it('a handler that calls itself by hand gets its transaction then, and only then', async () => {
  @Injectable()
  class Billing {
    private depth = 0;
    @on() @Transactional() async charge(given: OrderPlaced, from: Delivery): Promise<number> {
      return ++this.depth < 3 ? this.charge(given, from) : this.depth;
    }
  }
  const { app, engine } = await recordingApp({ providers: [Billing] });
  await expect(engine.subscriptions[0]?.handler(event, delivery('m-1'))).resolves.toBe(3);
  expect(engine.transcript).toEqual(['start', 'transactional({})', 'transactional({})']);
  await app.close();
});
