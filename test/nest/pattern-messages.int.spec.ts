// Requests to message handlers of Nest under HoldfastStrategy, on a real database with a virtual clock.
import { createTestDatabase, type TestDatabase, PATIENTLY } from '@holdfast-internal/test-support';
import { HoldfastClientProxy, HoldfastRecord, Idempotent, Retry, subscribe, Transactional, UnitOfWork } from '@holdfast/nest';
import { type CanActivate, Controller, Inject, UseGuards } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { defaultIfEmpty, firstValueFrom, from, type Observable } from 'rxjs';
import { type PatternApp, type PatternParts, startPatternApp } from './support/pattern-app.js';
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

class Refuse implements CanActivate {
  canActivate = () => false;
}

describe('a message handler of Nest', () => {
  @Controller()
  class Counter {
    calls = 0;
    failures = 0;
    constructor(@Inject(Charges) private readonly charges: Charges) {}

    @MessagePattern('stock.count')
    count(@Payload() sku: string): number {
      return sku.length;
    }

    @MessagePattern({ cmd: 'take', of: 'stock' })
    @Retry({ attempts: 2, backoff: { delay: '1s', jitter: 'none' } })
    @Idempotent()
    @Transactional()
    async take(@Payload() { sku }: { sku: string }): Promise<{ left: number }> {
      this.calls += 1;
      await this.charges.rows.insert({ orderId: sku, attempt: this.calls });
      if (this.failures-- > 0) throw new Error('none left');
      return { left: this.calls };
    }

    @MessagePattern('stock.stream')
    stream(): Observable<number> {
      return from([1, 2, 3]);
    }

    @MessagePattern('stock.forget')
    forget(): void {}

    @MessagePattern('stock.guarded')
    @UseGuards(Refuse)
    guarded(): void {}
  }
  const parts = { controllers: [Counter] };
  const client = () => made!.app.get(HoldfastClientProxy);
  /** Time goes on while somebody waits. */
  async function answer<T>(asked: Observable<T>): Promise<T> {
    let isDone = false;
    const answered = firstValueFrom(asked).finally(() => (isDone = true));
    answered.catch(() => undefined);
    while (!isDone) await made!.testing.clock.advance('1s');
    return answered;
  }

  it('answers with what it returns, of an observable with the last value, of nothing with nothing', async () => {
    await start(parts);
    await expect(answer(client().send('stock.count', 'sku-1'))).resolves.toBe(5);
    await expect(answer(client().send('stock.stream', {}))).resolves.toBe(3);
    await expect(answer(client().send('stock.forget', {}).pipe(defaultIfEmpty('nothing')))).resolves.toBe('nothing');
  });

  it('answers once what was asked twice, and only what was committed', async () => {
    const { app, rows } = await start(parts);
    app.get(Counter).failures = 1;
    const ask = () => client().send({ of: 'stock', cmd: 'take' }, new HoldfastRecord({ sku: 's-1' }, { id: 'r-1' }));
    await expect(answer(ask())).resolves.toEqual({ left: 2 });
    await expect(answer(ask())).resolves.toEqual({ left: 2 });
    await expect(rows()).resolves.toEqual(['s-1']);
  });

  it('refuses whoever asks when its attempts are used up, and leaves a dead letter', async () => {
    const { app, testing, rows } = await start(parts);
    app.get(Counter).failures = 2;
    await expect(answer(client().send({ cmd: 'take', of: 'stock' }, { sku: 's-1' }))).rejects.toMatchObject({
      code: 'HF_REQUEST_REJECTED',
      message: expect.stringContaining('none left'),
    });
    await expect(testing.deadLetters()).resolves.toMatchObject([{ subscription: '{"cmd":"take","of":"stock"}', attempts: 2 }]);
    await expect(rows()).resolves.toEqual([]);
  });

  it('refuses at once whom a guard refuses', async () => {
    await start(parts);
    await expect(answer(client().send('stock.guarded', {}))).rejects.toMatchObject({
      code: 'HF_REQUEST_REJECTED',
      message: expect.stringContaining('Forbidden resource'),
    });
  });

  it('is not asked inside a unit of work, nor for later', async () => {
    const { app } = await start(parts);
    const inUnit = app.get(UnitOfWork).run(() => firstValueFrom(client().send('stock.count', 'sku')));
    await expect(inUnit).rejects.toMatchObject({ code: 'HF_REQUEST_IN_TRANSACTION' });
    const later = firstValueFrom(client().send('stock.count', new HoldfastRecord('sku', { delay: '1s' })));
    await expect(later).rejects.toMatchObject({ code: 'HF_CAPABILITY_UNSUPPORTED' });
  });

  it('is waited for no more by whoever leaves', async () => {
    await start({ ...parts, listens: false });
    const errors: unknown[] = [];
    const subscription = client()
      .send('stock.count', 'sku')
      .subscribe({ error: (error) => errors.push(error) });
    const ended: string[] = [];
    const stop = subscribe('request:ended', ({ type, outcome }) => ended.push(`${type} ${outcome}`));
    await made!.testing.settled(PATIENTLY);
    expect(ended).toEqual([]);
    subscription.unsubscribe();
    await made!.testing.settled(PATIENTLY);
    stop();
    expect([ended, errors]).toEqual([['stock.count given-up'], []]);
  });
});
