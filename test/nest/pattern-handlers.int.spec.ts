// Handlers of Nest's own under HoldfastStrategy: what the bus does for them, on a real database with a virtual clock.
import { createTestDatabase, type TestDatabase, PATIENTLY } from '@holdfast-internal/test-support';
import {
  Durable,
  HoldfastClientProxy,
  HoldfastContext,
  HoldfastRecord,
  HOLDFAST_TRANSPORT,
  HoldfastStrategy,
  Idempotent,
  untypedMessage,
  Message,
  Retry,
  Transactional,
  UnitOfWork,
  DeadLetters,
} from '@holdfast/nest';
import { Controller, Inject, Injectable, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { ClientProxy, Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { firstValueFrom } from 'rxjs';
import { type PatternApp, type PatternParts, makePatternApp, startPatternApp } from './support/pattern-app.js';
import { Charges } from './support/shop.js';

let database: TestDatabase;
let made: PatternApp | undefined;

beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  await made?.app.close();
  made = undefined;
  await database.drop();
});

async function start(parts: PatternParts): Promise<PatternApp> {
  made = await startPatternApp(database.url, parts);
  return made;
}

@Controller()
class Stock {
  failures = 0;
  readonly seen: unknown[] = [];
  constructor(@Inject(Charges) private readonly charges: Charges) {}

  @EventPattern<string>('order.placed')
  @Durable({ name: 'stock.reserve' })
  @Retry({ attempts: 3, backoff: { delay: '1s', jitter: 'none' } })
  @Idempotent()
  @Transactional()
  async reserve(@Payload() order: { orderId: string }, @Ctx() context: HoldfastContext): Promise<void> {
    const { attempt, source, key } = context.getDelivery();
    this.seen.push({ orderId: order.orderId, attempt, source, key, pattern: context.getPattern() });
    await this.charges.rows.insert({ orderId: order.orderId, attempt });
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error('not in stock');
    }
  }
}

@Injectable()
class Shop {
  constructor(
    @Inject(HoldfastClientProxy) readonly client: HoldfastClientProxy,
    @Inject(Charges) private readonly charges: Charges,
  ) {}

  @Transactional()
  async sell(orderId: string, { fail = false, awaited = true } = {}): Promise<void> {
    await this.charges.rows.insert({ orderId: `sold ${orderId}`, attempt: 0 });
    const emitted = this.client.emit('order.placed', new HoldfastRecord({ orderId }, { key: orderId }));
    if (awaited) await firstValueFrom(emitted);
    if (fail) throw new Error('changed its mind');
  }
}

describe('an event handler of Nest', () => {
  it('gets what a transaction emitted, once, and never what was rolled back', async () => {
    const { app, testing, rows } = await start({ controllers: [Stock], providers: [Shop] });
    await app.get(Shop).sell('o-1');
    await expect(app.get(Shop).sell('o-2', { fail: true })).rejects.toThrow('changed its mind');
    await testing.settled(PATIENTLY);
    expect(await rows()).toEqual(['o-1', 'sold o-1']);
    expect(app.get(Stock).seen).toEqual([{ orderId: 'o-1', attempt: 1, source: 'shop', key: 'o-1', pattern: 'order.placed' }]);
  });

  it('gets what a transaction emitted without awaiting it', async () => {
    const { app, testing, rows } = await start({ controllers: [Stock], providers: [Shop] });
    await app.get(Shop).sell('o-1', { awaited: false });
    await expect(app.get(Shop).sell('o-2', { awaited: false, fail: true })).rejects.toThrow('changed its mind');
    await testing.settled(PATIENTLY);
    expect(await rows()).toEqual(['o-1', 'sold o-1']);
  });

  it('fails the transaction that emits nothing at all, also when nobody awaits it', async () => {
    const { app, rows } = await start({ controllers: [Stock], providers: [Shop] });
    const { client } = app.get(Shop);
    const sold = app.get(UnitOfWork).run(async () => {
      await app.get(Charges).rows.insert({ orderId: 'sold o-1', attempt: 0 });
      client.emit('order.placed', undefined);
    });
    await expect(sold).rejects.toThrow('invalid data');
    expect(await rows()).toEqual([]);
  });

  it('is told of what a slow schema lets through, where nobody awaits it, and what it refuses fails the transaction', async () => {
    @Message('stock.checked', {
      schema: {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: async (value: unknown) => {
            await new Promise((resolve) => setTimeout(resolve, 50));
            return (value as { sku: string }).sku === 'bad' ? { issues: [{ message: 'is bad' }] } : { value: value as { sku: string } };
          },
          types: undefined as unknown as { input: unknown; output: { sku: string } },
        },
      },
    })
    class StockChecked {
      constructor(readonly sku: string) {}
    }
    const { app, testing, rows } = await start({ controllers: [Stock], providers: [Shop] });
    const { client } = app.get(Shop);
    const check = (sku: string) =>
      app.get(UnitOfWork).run(async () => {
        await app.get(Charges).rows.insert({ orderId: sku, attempt: 0 });
        client.emit('stock.checked', new StockChecked(sku));
      });
    await check('good');
    await expect(check('bad')).rejects.toMatchObject({ code: 'HF_MESSAGE_INVALID' });
    expect(await rows()).toEqual(['good']);
    expect(testing.published(StockChecked)).toMatchObject([{ message: { sku: 'good' } }]);
  });

  it('is tried again when it throws, its rows rolled back with each attempt, and has one effect', async () => {
    const { app, testing, rows } = await start({ controllers: [Stock] });
    app.get(Stock).failures = 2;
    await testing.deliver(untypedMessage('order.placed', 'event', { orderId: 'o-1' }), { id: 'm-1' });
    await testing.clock.advance('10s');
    await testing.settled(PATIENTLY);
    await testing.deliver(untypedMessage('order.placed', 'event', { orderId: 'o-1' }), { id: 'm-1' });
    await testing.settled(PATIENTLY);
    expect(await rows()).toEqual(['o-1']);
    expect(app.get(Stock).seen).toMatchObject([{ attempt: 1 }, { attempt: 2 }, { attempt: 3 }]);
    expect(await testing.deadLetters()).toEqual([]);
  });

  it('leaves a dead letter with its own error when its attempts are used up, which can be redriven', async () => {
    const { app, testing, rows } = await start({ controllers: [Stock] });
    app.get(Stock).failures = 3;
    await testing.deliver(untypedMessage('order.placed', 'event', { orderId: 'o-1' }));
    await testing.clock.advance('1m');
    await testing.settled(PATIENTLY);
    const letters = await testing.deadLetters('stock.reserve');
    expect(letters).toMatchObject([{ attempts: 3, error: { code: 'Error', message: 'not in stock' } }]);
    expect(letters[0]?.error.stack).toContain('Stock.reserve');
    await expect(rows()).resolves.toEqual([]);
    await app.get(DeadLetters).redrive(letters[0]!.id, { by: 'test' });
    await testing.clock.advance('10s');
    await testing.settled(PATIENTLY);
    await expect(rows()).resolves.toEqual(['o-1']);
    await expect(testing.deadLetters()).resolves.toEqual([]);
  });

  it('waits with its messages until the microservice listens', async () => {
    const { app, testing, rows } = await start({ controllers: [Stock], providers: [Shop], listens: false });
    await app.get(Shop).sell('o-1');
    await testing.clock.advance('1m');
    expect(await rows()).toEqual(['sold o-1']);
    await app.startAllMicroservices();
    await testing.settled(PATIENTLY);
    expect(await rows()).toEqual(['o-1', 'sold o-1']);
  });

  it('has its retries kept until the microservice listens', async () => {
    const first = await start({ controllers: [Stock] });
    first.app.get(Stock).failures = 1;
    await first.testing.deliver(untypedMessage('order.placed', 'event', { orderId: 'o-1' }));
    await first.testing.settled(PATIENTLY);
    await first.app.close();
    const second = await start({ controllers: [Stock], listens: false });
    await second.testing.clock.advance('1m');
    await second.testing.settled(PATIENTLY);
    expect(second.app.get(Stock).seen).toEqual([]);
    await second.app.startAllMicroservices();
    await second.testing.clock.advance('1m');
    await second.testing.settled(PATIENTLY);
    expect(second.app.get(Stock).seen).toMatchObject([{ attempt: 2 }]);
  });
});

describe('handlers and patterns', () => {
  it('two handlers of one pattern are two subscriptions: the failure of one never runs the other again', async () => {
    const calls: string[] = [];
    @Controller()
    class Both {
      @EventPattern<string>('order.placed')
      @Durable({ name: 'mail' })
      mail(): void {
        calls.push('mail');
      }

      @EventPattern<string>('order.placed')
      @Durable({ name: 'count' })
      @Retry({ attempts: 2, backoff: { delay: '1s', jitter: 'none' } })
      async count(): Promise<void> {
        calls.push('count');
        throw new Error('cannot count');
      }
    }
    const { testing } = await start({ controllers: [Both] });
    await testing.deliver(untypedMessage('order.placed', 'event', {}));
    await testing.clock.advance('10s');
    await testing.settled(PATIENTLY);
    expect(calls.sort()).toEqual(['count', 'count', 'mail']);
    await expect(testing.deadLetters()).resolves.toMatchObject([{ subscription: 'count' }]);
  });

  it('one handler of several patterns, also of objects, is one subscription, and gets any JSON', async () => {
    const seen: unknown[] = [];
    @Controller()
    class Audit {
      @EventPattern<unknown>(['order.placed', { entity: 'order', cmd: 'paid' }])
      @Durable({ name: 'audit' })
      write(@Payload() data: unknown, @Ctx() context: HoldfastContext): void {
        seen.push([context.getPattern(), data]);
      }
    }
    const { app, testing } = await start({ controllers: [Audit] });
    const client = app.get(HoldfastClientProxy);
    for (const data of ['text', 7, ['a'], { a: { b: null } }, false]) {
      await firstValueFrom(client.emit('order.placed', data));
      await testing.settled(PATIENTLY);
    }
    await firstValueFrom(client.emit({ cmd: 'paid', entity: 'order' }, 'by card'));
    await testing.settled(PATIENTLY);
    const type = 'order.placed';
    expect(seen).toEqual([
      [type, 'text'],
      [type, 7],
      [type, ['a']],
      [type, { a: { b: null } }],
      [type, false],
      ['{"cmd":"paid","entity":"order"}', 'by card'],
    ]);
  });

  it('a payload of a message class comes as its instance, checked by its schema', async () => {
    const schema = {
      '~standard': {
        version: 1 as const,
        vendor: 'test',
        validate: (value: unknown) =>
          typeof (value as { sku?: unknown }).sku === 'string' ? { value } : { issues: [{ message: 'is no text', path: ['sku'] }] },
        types: undefined as unknown as { input: unknown; output: { sku: string } },
      },
    };
    @Message('stock.low', { schema })
    class StockLow {
      constructor(readonly sku: string) {}
    }
    const seen: unknown[] = [];
    @Controller()
    class Buyer {
      @EventPattern<string>('stock.low')
      @Durable({ name: 'buyer' })
      buy(low: StockLow): void {
        seen.push(low);
      }
    }
    const { app, testing } = await start({ controllers: [Buyer] });
    const client = app.get(HoldfastClientProxy);
    await firstValueFrom(client.emit('stock.low', new StockLow('s-1')));
    await firstValueFrom(client.emit('stock.low', { sku: 's-2' }));
    await firstValueFrom(client.emit('stock.low', { sku: 3 }));
    await testing.settled(PATIENTLY);
    expect(seen).toEqual([new StockLow('s-1'), new StockLow('s-2')]);
    expect(seen).toMatchObject([expect.any(StockLow), expect.any(StockLow)]);
    await expect(testing.deadLetters()).resolves.toMatchObject([{ error: { code: 'HF_MESSAGE_INVALID' } }]);
    await expect(firstValueFrom(client.emit('stock.low', new StockLow(4 as never)))).rejects.toMatchObject({ code: 'HF_MESSAGE_INVALID' });
    await expect(firstValueFrom(client.emit('stock.out', new StockLow('s-1')))).rejects.toMatchObject({ code: 'HF_NEST_PATTERN' });
  });

  it('a batch is one transaction, and only what fails in it is tried again', async () => {
    const transactions = new Map<string, Set<string>>();
    @Controller()
    class Ledger {
      constructor(@Inject(Charges) private readonly charges: Charges) {}

      @EventPattern<string>('booked')
      @Durable({ name: 'ledger', batchSize: 10, concurrency: 1 })
      @Retry(2)
      @Idempotent()
      @Transactional()
      async book(@Payload() id: string): Promise<void> {
        const [{ xid }] = await this.charges.rows.query('select pg_current_xact_id()::text as xid');
        transactions.set(xid, (transactions.get(xid) ?? new Set()).add(id));
        await this.charges.rows.insert({ orderId: id, attempt: 1 });
        if (id === 'bad') throw new Error('cannot');
      }
    }
    const { app, testing, rows } = await start({ controllers: [Ledger], listens: false });
    const ids = ['a', 'b', 'bad', 'c'];
    for (const id of ids) await testing.deliver(untypedMessage('booked', 'event', id));
    await app.startAllMicroservices();
    await testing.clock.advance('1m');
    await testing.settled(PATIENTLY);
    expect(await rows()).toEqual(['a', 'b', 'c']);
    expect(await testing.deadLetters()).toMatchObject([{ subscription: 'ledger', attempts: 2 }]);
    expect(Math.max(...[...transactions.values()].map(({ size }) => size))).toBeGreaterThan(1);
  });

  it('with an order, messages of a key wait behind one that failed', async () => {
    const seen: string[] = [];
    @Controller()
    class Accounts {
      @EventPattern<string>('account.changed')
      @Durable({ name: 'accounts', ordering: 'key' })
      @Retry({ attempts: 3, backoff: { delay: '1s', jitter: 'none' } })
      @Idempotent()
      @Transactional()
      async change(@Payload() change: string, @Ctx() context: HoldfastContext): Promise<void> {
        if (change === 'a1' && context.getDelivery().attempt < 3) throw new Error('not yet');
        seen.push(change);
      }
    }
    const { app, testing } = await start({ controllers: [Accounts] });
    const client = app.get(HoldfastClientProxy);
    for (const change of ['a1', 'a2', 'b1']) {
      await firstValueFrom(client.emit('account.changed', new HoldfastRecord(change, { key: change.charAt(0) })));
    }
    await testing.clock.advance('1m');
    await testing.settled(PATIENTLY);
    expect(seen).toEqual(['b1', 'a1', 'a2']);
  });

  it('a client that is injected by a token of the application is this one, when the token says so', async () => {
    const seen: unknown[] = [];
    @Controller()
    class Audit {
      @EventPattern<string>('order.placed')
      @Durable({ name: 'audit' })
      write(@Payload() data: unknown): void {
        seen.push(data);
      }
    }
    const { app, testing } = await start({ controllers: [Audit], providers: [{ provide: 'ORDERS', useExisting: HoldfastClientProxy }] });
    const client = app.get<ClientProxy>('ORDERS');
    expect(client).toBeInstanceOf(ClientProxy);
    await client.connect();
    await firstValueFrom(client.emit('order.placed', { n: 1 }));
    await testing.settled(PATIENTLY);
    await client.close();
    expect(seen).toEqual([{ n: 1 }]);
  });

  it('the key of @Idempotent is made of the arguments of the method', async () => {
    const seen: string[] = [];
    @Controller()
    class Coupons {
      @EventPattern<string>('coupon.used')
      @Durable({ name: 'coupons' })
      @Idempotent({ key: (context: HoldfastContext, code: string) => `${context.getPattern()} ${code}` })
      async use(@Ctx() _context: HoldfastContext, @Payload('code') code: string): Promise<void> {
        seen.push(code);
      }
    }
    const { testing } = await start({ controllers: [Coupons] });
    for (const code of ['a', 'a', 'b']) {
      await testing.deliver(untypedMessage('coupon.used', 'event', { code }));
      await testing.settled(PATIENTLY);
    }
    expect(seen).toEqual(['a', 'b']);
  });
});

it('a request-scoped controller is made for each delivery, inside its transaction', async () => {
  @Injectable({ scope: Scope.REQUEST })
  class Tenant {
    constructor(@Inject(REQUEST) readonly request: { pattern: string; data: unknown; context: HoldfastContext }) {}
  }
  let instances = 0;
  @Controller()
  class Scoped {
    constructor(
      @Inject(Tenant) private readonly tenant: Tenant,
      @Inject(Charges) private readonly charges: Charges,
    ) {
      instances += 1;
    }

    @EventPattern<string>('order.placed')
    @Durable({ name: 'scoped' })
    @Retry({ attempts: 2, backoff: { delay: '1s', jitter: 'none' } })
    @Transactional()
    async handle(): Promise<void> {
      const { attempt, id } = this.tenant.request.context.getDelivery();
      await this.charges.rows.insert({ orderId: `${id} ${attempt}`, attempt });
      if (attempt === 1) throw new Error('not yet');
    }
  }
  const { testing, rows } = await start({ controllers: [Scoped], providers: [Tenant] });
  await testing.deliver(untypedMessage('order.placed', 'event', {}), { id: 'm-1' });
  await testing.clock.advance('10s');
  await testing.settled(PATIENTLY);
  await expect(rows()).resolves.toEqual(['m-1 2']);
  expect(instances).toBe(2);
});

it('closing the microservice ends the deliveries, and what is in work is finished', async () => {
  let release = () => {};
  const transcript: string[] = [];
  @Controller()
  class Slow {
    @EventPattern<string>('order.placed')
    @Durable({ name: 'slow' })
    async handle(): Promise<void> {
      transcript.push('begins');
      await new Promise<void>((resolve) => (release = resolve));
      transcript.push('ends');
    }
  }
  const { app, testing } = await makePatternApp(database.url, { controllers: [Slow] }).then(async (it) => {
    made = it;
    await it.app.startAllMicroservices();
    await it.app.init();
    return it;
  });
  const states: string[] = [];
  app.get(HoldfastStrategy).status.subscribe((state) => states.push(state));
  await testing.deliver(untypedMessage('order.placed', 'event', {}));
  while (transcript.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const closed = app
    .get(HoldfastStrategy)
    .close()
    .then(() => transcript.push('closed'));
  await new Promise((resolve) => setTimeout(resolve, 50));
  release();
  await closed;
  expect(transcript).toEqual(['begins', 'ends', 'closed']);
  expect(states).toEqual(['connected', 'disconnected']);
});

it('instrumentation sees each call begin and end, and what a client attached to it; listeners see the events of the bus', async () => {
  const seen: unknown[] = [];
  const { app, testing } = await start({ controllers: [Stock] });
  app.get(Stock).failures = 1;
  const strategy = app.get(HoldfastStrategy);
  strategy.setOnProcessingStartHook((id, context, done) => {
    seen.push(['start', id === HOLDFAST_TRANSPORT, (context as HoldfastContext).getMetadata()]);
    return done();
  });
  strategy.setOnProcessingEndHook((_id, context) => seen.push(['end', (context as HoldfastContext).getDelivery().attempt]));
  strategy.on('delivery:failed', ({ attempt }) => seen.push(['failed', attempt]));
  const client = app.get(HoldfastClientProxy);
  client.setOnDispatchHook((message) => Object.assign(message, { metadata: { trace: 't-1', count: 2 } }));
  await firstValueFrom(client.emit('order.placed', new HoldfastRecord({ orderId: 'o-1' }, { headers: { own: 'yes' } })));
  await testing.clock.advance('10s');
  await testing.settled(PATIENTLY);
  const begins = ['start', true, { trace: 't-1', own: 'yes' }];
  expect(seen).toEqual([begins, ['end', 1], ['failed', 1], begins, ['end', 2]]);
});
