import { createDelivery, type Delivery, Message, NonRetryableError } from '@holdfast/core';
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
  Scope,
  SetMetadata,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import { APP_FILTER, REQUEST, Reflector } from '@nestjs/core';
import { map, of, throwError } from 'rxjs';
import { recordingApp } from '../../../../test/nest/support/recording-engine.js';
import { getDelivery, OnMessage, Transactional } from '../index.js';

@Message('order.placed')
class OrderPlaced {
  constructor(readonly orderId: string) {}
}

const event = new OrderPlaced('o-1');

function delivery(id: string): Delivery {
  return createDelivery({
    envelope: {
      id,
      source: 'orders',
      type: 'order.placed',
      version: 1,
      time: new Date(0),
      headers: {},
      correlationId: id,
      kind: 'event',
      contentType: 'application/json',
      body: new Uint8Array(),
    },
    subscription: 'billing.charge',
    attempt: 1,
    isRedelivery: false,
    deadlineAt: new Date(0),
    signal: () => new AbortController().signal,
  });
}

/** Delivers one event to the only handler of a class. */
async function deliver(provider: unknown, extra: unknown[] = [], ids = ['m-1']): Promise<unknown[]> {
  const { app, engine } = await recordingApp({ providers: [provider, ...extra] as never });
  try {
    return await Promise.all(ids.map((id) => engine.subscriptions[0]?.handler(event, delivery(id))));
  } finally {
    await app.close();
  }
}

const on = () => OnMessage(OrderPlaced, { name: 'billing.charge' });

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

describe('pipes', () => {
  it('see the message as a body and never the delivery', async () => {
    const seen: unknown[] = [];
    class Spy implements PipeTransform {
      transform(value: unknown, { type, metatype }: { type: string; metatype?: unknown }) {
        if (value instanceof OrderPlaced) seen.push([type, metatype]);
        else if (metatype !== undefined) seen.push('something with a type');
        return value instanceof OrderPlaced ? new OrderPlaced(`${value.orderId} piped`) : value;
      }
    }
    @Injectable()
    class Billing {
      @on() @UsePipes(Spy) async charge({ orderId }: OrderPlaced, { id }: Delivery) {
        return `${orderId} in ${id}`;
      }
    }
    await expect(deliver(Billing)).resolves.toEqual(['o-1 piped in m-1']);
    expect(seen).toEqual([['body', OrderPlaced]]);
  });
});

describe('interceptors', () => {
  it('see and change the result of the handler', async () => {
    class Bracket implements NestInterceptor {
      intercept(context: ExecutionContext, next: CallHandler) {
        return next.handle().pipe(map((result) => `${context.getClass().name}(${result})`));
      }
    }
    @Injectable()
    class Billing {
      @on() @UseInterceptors(Bracket) async charge(_event: OrderPlaced) {
        return 'charged';
      }
    }
    await expect(deliver(Billing)).resolves.toEqual(['Billing(charged)']);
  });
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
    await expect(deliver(Billing, [Tenant], ['m-1', 'm-2'])).resolves.toEqual([
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
    await expect(deliver(Billing, [], ['m-1', 'm-2'])).resolves.toEqual([1, 2]);
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
