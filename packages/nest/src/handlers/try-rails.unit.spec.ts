import type { TryBranch } from '@holdfast/core';
import { Inject, Injectable, Scope, UseFilters, UseGuards } from '@nestjs/common';
import { problemsOf, recordingApp } from '../../../../test/nest/support/recording-engine.js';
import { Idempotent, Message, OnMessage, Retry, Transactional, TryConfirmCancel } from '../index.js';

@Message('try-rails.placed')
class Placed {}

@Injectable()
class Points {
  readonly lines: string[] = [];

  @TryConfirmCancel({ confirm: 'take', cancel: 'giveBack', timeout: '30s' })
  async freeze(account: string): Promise<{ left: number }> {
    this.lines.push(`freeze ${account}`);
    return { left: 1 };
  }

  @Retry(7)
  async take(account: string, branch: TryBranch<{ left: number }>): Promise<void> {
    this.lines.push(`take ${account} ${branch.result.left}`);
  }

  async giveBack(account: string): Promise<void> {
    this.lines.push(`give back ${account}`);
  }
}

describe('a try in an application', () => {
  it('is brought to the engine by its name, with what ends it and how often that is tried', async () => {
    const { app, engine } = await recordingApp({ providers: [Points] });
    expect(engine.transcript).toEqual(['try Points.freeze', 'start']);
    const { options } = engine.tries.get('Points.freeze') as never as { options: Record<string, unknown> };
    expect(options).toMatchObject({ timeout: '30s', confirmRetry: 7, cancelRetry: undefined });
    await (options.confirm as (...args: unknown[]) => Promise<void>)('ann', { result: { left: 3 } });
    await (options.cancel as (...args: unknown[]) => Promise<void>)('ann');
    expect(app.get(Points).lines).toEqual(['take ann 3', 'give back ann']);
    // Nothing in process tries them again: their attempts are counted in the database.
    expect(engine.transcript).toEqual(['try Points.freeze', 'start']);
    await app.close();
  });

  it('is called through the engine, also through `this`', async () => {
    @Injectable()
    class Twice extends Points {
      async both(): Promise<unknown> {
        return [await this.freeze('ann'), await this.freeze('ben')];
      }
    }
    const { app, engine } = await recordingApp({ providers: [Twice] });
    expect(await app.get(Twice).both()).toEqual([{ left: 1 }, { left: 1 }]);
    expect(engine.transcript).toEqual(['try Twice.freeze', 'start', 'call Twice.freeze', 'call Twice.freeze']);
    expect(app.get(Twice).lines).toEqual(['freeze ann', 'freeze ben']);
    await app.close();
  });

  it('keeps a name of its own', async () => {
    @Injectable()
    class Renamed {
      @TryConfirmCancel({ confirm: 'end', cancel: 'end', name: 'points.freeze' })
      async freeze(): Promise<void> {}
      async end(): Promise<void> {}
    }
    const { engine } = await recordingApp({ providers: [Renamed] });
    expect([...engine.tries.keys()]).toEqual(['points.freeze']);
  });
});

describe('the start is refused', () => {
  it('where other decorators stand on a try or on what ends it, and do nothing there', async () => {
    @Injectable()
    class Mixed {
      @TryConfirmCancel({ confirm: 'confirm', cancel: 'cancel' })
      @Retry(3)
      @Transactional()
      @Idempotent({ key: () => 'k' })
      async it(): Promise<void> {}
      @Transactional()
      async confirm(): Promise<void> {}
      @Idempotent({ key: () => 'k' })
      async cancel(): Promise<void> {}
    }
    @Injectable()
    class Handling {
      @OnMessage(Placed, { name: 'try-rails.placed' })
      @TryConfirmCancel({ confirm: 'end', cancel: 'end' })
      async it(_placed: Placed): Promise<void> {}
      async end(_placed: Placed): Promise<void> {}
    }
    @Injectable()
    class Chain {
      @TryConfirmCancel({ confirm: 'two', cancel: 'end' })
      async one(): Promise<void> {}
      @TryConfirmCancel({ confirm: 'end', cancel: 'end' })
      async two(): Promise<void> {}
      async end(): Promise<void> {}
    }
    expect(await problemsOf(recordingApp({ providers: [Mixed, Handling, Chain] }))).toEqual([
      '@Retry stands on the try Mixed.it, which is called once by its unit of work: put it on the caller, or on what ends the try',
      '@Transactional stands on the try Mixed.it, which has a transaction of its own already: remove it',
      '@Idempotent stands on the try Mixed.it; put it on the method that calls it',
      '@Transactional stands on confirm, which ends the try Mixed.it in a unit of work of its own already: remove it',
      '@Idempotent stands on cancel, whose effect is one commit with the end of the try Mixed.it: remove it',
      'Handling.it is called by the engine, and a try by a unit of work: call the try from it',
      'two is a try, and ends the try Chain.one: give that a method of its own',
    ]);
  });

  it('where guards, pipes, interceptors or filters stand on what ends a try, around which none runs', async () => {
    class Around {
      canActivate = () => false;
      catch = () => undefined;
    }
    @Injectable()
    @UseGuards(Around)
    class Guarded {
      @TryConfirmCancel({ confirm: 'confirm', cancel: 'cancel' })
      @UseGuards(Around)
      async it(): Promise<void> {}
      @UseGuards(Around)
      async confirm(): Promise<void> {}
      @Retry(3)
      @UseFilters(Around)
      async cancel(): Promise<void> {}
    }
    const rest = 'guards, pipes, interceptors and filters run around handlers only: remove it';
    expect(await problemsOf(recordingApp({ providers: [Guarded] }))).toEqual([
      `@UseGuards stands on Guarded.confirm, and ${rest}`,
      `@UseFilters stands on Guarded.cancel, and ${rest}`,
    ]);
  });

  it('where a name that the compiler was not asked about is none of the class, or takes something else', async () => {
    @Injectable()
    class Unchecked {
      // @ts-expect-error no such method
      @TryConfirmCancel({ confirm: 'nowhere', cancel: 'cancel' })
      async it(_account: string): Promise<void> {}
      @TryConfirmCancel({ confirm: 'cancel', cancel: 'cancel' })
      async other(_account: string, _points: number): Promise<void> {}
      async cancel(): Promise<void> {}
    }
    expect(await problemsOf(recordingApp({ providers: [Unchecked] }))).toEqual([
      expect.stringContaining('The try Unchecked.other cannot be used: it declares 2 parameters and its confirm 0'),
      expect.stringContaining('The try Unchecked.other cannot be used: it declares 2 parameters and its cancel 0'),
      "@TryConfirmCancel({ confirm: 'nowhere' }) on Unchecked.it names no method of the class",
    ]);
  });

  it('where there is no instance of its own for the whole application', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {}
    @Injectable()
    class Scoped {
      constructor(@Inject(PerRequest) readonly request: PerRequest) {}
      @TryConfirmCancel({ confirm: 'end', cancel: 'end' })
      async it(): Promise<void> {}
      async end(): Promise<void> {}
    }
    const sentence =
      'Scoped has a try and one instance per request or per user: its confirm and cancel run outside any request, so make it and what it injects singletons';
    expect(await problemsOf(recordingApp({ providers: [PerRequest, Scoped] }))).toEqual([sentence]);
  });

  it('where a try is overridden by another one: only one of them has the name', async () => {
    @Injectable()
    class Override extends Points {
      @TryConfirmCancel({ confirm: 'take', cancel: 'giveBack' })
      override async freeze(account: string): Promise<{ left: number }> {
        return super.freeze(account);
      }
    }
    expect(await problemsOf(recordingApp({ providers: [Override] }))).toEqual([
      expect.stringContaining('The try Points.freeze cannot be used: it is overridden, or its class is not among the providers'),
    ]);
  });
});
