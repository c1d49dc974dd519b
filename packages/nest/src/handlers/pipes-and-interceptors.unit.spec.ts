import { type Delivery, Message, NonRetryableError } from '@holdfast/core';
import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  type PipeTransform,
  UseInterceptors,
  UsePipes,
  ValidationPipe,
  type ValidationPipeOptions,
} from '@nestjs/common';
import { APP_PIPE } from '@nestjs/core';
import { IsString } from 'class-validator';
import { Type as TypeOf } from 'class-transformer';
import { catchError, map, merge, of, race, retry, Subject, take, throwError } from 'rxjs';
import { OnMessage } from '../index.js';

import { deliver, event, on, OrderPlaced } from './handler-scene.spec.js';

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

  it('that validate by class-validator leave a message alone whose class has no rules, and check one that has', async () => {
    @Message('order.checked')
    class Checked {
      @IsString() readonly orderId: unknown = 1;
    }
    const pipeOf = (options: ValidationPipeOptions) => ({ provide: APP_PIPE, useFactory: () => new ValidationPipe(options) });
    const pipe = pipeOf({ whitelist: true, transform: true });
    @Injectable()
    class Billing {
      @on() async charge(placed: OrderPlaced) {
        return placed;
      }
    }
    @Injectable()
    class Checking {
      @OnMessage(Checked, { name: 'billing.check' }) async charge(_event: Checked) {}
    }
    for (const options of [
      { whitelist: true, transform: true },
      { forbidUnknownValues: true, transform: true },
      { transform: true, transformOptions: { excludeExtraneousValues: true } },
      { transform: true, transformOptions: { strategy: 'excludeAll' } },
      { stopAtFirstError: true },
    ] as const) {
      const [placed] = await deliver(Billing, [pipeOf(options)]);
      expect(placed).toBe(event);
    }
    await expect(deliver(Checking, [pipe], { message: new Checked() })).rejects.toThrow('Bad Request Exception');
  });

  it('of validation that do something else with a message without rules run as well', async () => {
    class Audit extends ValidationPipe {
      override async transform(value: unknown) {
        if (value instanceof OrderPlaced) throw new Error('audited');
        return value;
      }
    }
    class Schema extends ValidationPipe {
      protected override validate(): never {
        throw new Error('checked elsewhere');
      }
    }
    class Money {
      constructor(readonly cents: number) {}
    }
    @Message('order.refunded')
    class Refunded {
      @TypeOf(() => Money) readonly amount = { cents: 5 } as Money;
    }
    @Injectable()
    class Billing {
      @on() async charge(_placed: OrderPlaced) {}
    }
    @Injectable()
    class Refunds {
      @OnMessage(Refunded, { name: 'billing.refund' }) async charge({ amount }: Refunded) {
        return amount;
      }
    }
    const given = (pipe: ValidationPipe) => [{ provide: APP_PIPE, useFactory: () => pipe }];
    await expect(deliver(Billing, given(new Audit({ whitelist: true })))).rejects.toThrow('audited');
    await expect(deliver(Billing, given(new Schema()))).rejects.toThrow('checked elsewhere');
    const message = Object.assign(new Refunded(), { amount: { cents: 7 } });
    const [amount] = await deliver(Refunds, given(new ValidationPipe({ transform: true })), { message });
    expect(amount).toEqual(new Money(7));
    expect(amount).toBeInstanceOf(Money);
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

  it('cannot turn a failure into a success', async () => {
    class Envelope implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler) {
        return next.handle().pipe(catchError(() => of({ ok: false })));
      }
    }
    @Injectable()
    class Billing {
      @on() @UseInterceptors(Envelope) async charge(_event: OrderPlaced) {
        throw new NonRetryableError('declined');
      }
    }
    await expect(deliver(Billing)).rejects.toThrow('declined');
    @Injectable()
    class AtOnce {
      @on() @UseInterceptors(Envelope) charge(_event: OrderPlaced): Promise<void> {
        throw new NonRetryableError('declined');
      }
    }
    await expect(deliver(AtOnce)).rejects.toThrow('declined');
    class Never implements PipeTransform {
      transform(): never {
        throw new NonRetryableError('unreadable');
      }
    }
    @Injectable()
    class Piped {
      @on() @UseInterceptors(Envelope) @UsePipes(Never) async charge(_event: OrderPlaced) {}
    }
    await expect(deliver(Piped)).rejects.toThrow('unreadable');
  });

  it('cannot go on as if the handler had ended', async () => {
    const begun = new Subject<void>();
    class Impatient implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler) {
        return race(next.handle(), begun).pipe(take(1));
      }
    }
    let end = (): void => undefined;
    @Injectable()
    class Billing {
      @on() @UseInterceptors(Impatient) charge(_event: OrderPlaced): Promise<void> {
        setImmediate(() => begun.next());
        return new Promise((resolve) => (end = resolve));
      }
    }
    await expect(deliver(Billing)).rejects.toMatchObject({ code: 'HF_HANDLER_CUT_OFF', details: { handler: 'Billing.charge' } });
    end();
  });

  it('cannot go on with one call of the handler while another one has not ended', async () => {
    const ends: (() => void)[] = [];
    class Twice implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler) {
        return merge(next.handle(), next.handle()).pipe(take(1));
      }
    }
    @Injectable()
    class Billing {
      @on() @UseInterceptors(Twice) charge(_event: OrderPlaced): Promise<void> {
        return new Promise((resolve) => {
          if (ends.push(resolve) === 2) resolve();
        });
      }
    }
    await expect(deliver(Billing)).rejects.toMatchObject({ code: 'HF_HANDLER_CUT_OFF' });
    for (const end of ends) end();
  });

  it('may replace the error, and call the handler again', async () => {
    let calls = 0;
    class Again implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler) {
        return next.handle().pipe(
          retry(2),
          catchError(() => throwError(() => new Error('three times'))),
        );
      }
    }
    @Injectable()
    class Billing {
      @on() @UseInterceptors(Again) async charge({ orderId }: OrderPlaced) {
        calls += 1;
        if (calls % 3 !== 0 || orderId === 'o-2') throw new Error('declined');
        return 'charged';
      }
    }
    await expect(deliver(Billing)).resolves.toEqual(['charged']);
    await expect(deliver(Billing, [], { message: new OrderPlaced('o-2') })).rejects.toThrow('three times');
    expect(calls).toBe(6);
  });
});
