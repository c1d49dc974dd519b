// Wrong uses that must not compile. Each `@ts-expect-error` says what the user meant; tsc reports it as unused the day the error is gone.
import { Injectable } from '@nestjs/common';
import { Idempotent, Policies, Retry, Transactional, TryBranch, TryConfirmCancel } from '@holdfast/nest';
import { of, type Observable } from 'rxjs';

declare const timeoutFromEnvironment: string;

@Injectable()
export class Methods {
  // @ts-expect-error meant `attempts`: attempts count the first one, retries would not
  @Retry({ retries: 4 })
  async retries(): Promise<void> {}

  // @ts-expect-error meant 5
  @Retry('5')
  async text(): Promise<void> {}

  // @ts-expect-error meant 'full'
  @Retry({ attempts: 5, backoff: { delay: '1s', jitter: 'random' } })
  async jitter(): Promise<void> {}

  // @ts-expect-error meant '30s': there is no such unit
  @Retry({ backoff: { delay: '30sec' } })
  async unit(): Promise<void> {}

  // @ts-expect-error meant '5s': time does not run backwards
  @Transactional({ timeout: '-5s' })
  async negative(): Promise<void> {}

  // @ts-expect-error meant '90m': whole numbers only
  @Transactional({ timeout: '1.5h' })
  async fraction(): Promise<void> {}

  // @ts-expect-error meant `duration(timeoutFromEnvironment)`: unchecked text is no duration
  @Transactional({ timeout: timeoutFromEnvironment })
  async environment(): Promise<void> {}

  // @ts-expect-error meant an async method: the policies of a preset are checked too
  @Policies(Retry(5), Transactional())
  preset(): number {
    return 1;
  }

  // @ts-expect-error meant an async method: a transaction cannot be awaited in a synchronous one
  @Transactional()
  synchronous(): number {
    return 1;
  }

  // @ts-expect-error meant a promise: the observable would run after the commit
  @Transactional()
  observable(): Observable<number> {
    return of(1);
  }

  // @ts-expect-error meant to collect first: a stream outlives its transaction
  @Transactional()
  async stream(): Promise<AsyncIterable<number>> {
    return (async function* () {})();
  }

  // @ts-expect-error meant a method: a generator yields after the commit
  @Transactional()
  async *generator(): AsyncGenerator<number> {}

  // @ts-expect-error meant a method: an arrow function in a property cannot be found
  @Transactional()
  arrow = async (): Promise<void> => {};

  // @ts-expect-error meant @TryConfirmCancel: it is no protocol of a unit
  @Transactional({ protocol: 'tcc' })
  async tcc(): Promise<void> {}

  // @ts-expect-error meant 'REQUIRES_NEW'
  @Transactional({ propagation: 'requiresNew' })
  async lowerCase(): Promise<void> {}

  // @ts-expect-error meant nothing: a Kafka transaction has no SQL isolation
  @Transactional({ protocol: 'kafka', isolation: 'SERIALIZABLE' })
  async kafkaIsolation(): Promise<void> {}

  // @ts-expect-error meant a key made of this method's arguments
  @Idempotent({ key: (order: { id: string }) => order.id })
  async otherKey(_orderId: string): Promise<void> {}

  // @ts-expect-error meant `id`: the key looks at a field that is not there
  @Idempotent({ key: (order) => order.ID })
  async misspeltKey(_order: { id: string }): Promise<void> {}

  // @ts-expect-error meant `ttl`
  @Idempotent({ window: '7d' })
  async window(): Promise<void> {}

  // @ts-expect-error meant 'take': the confirm does not exist
  @TryConfirmCancel({ confirm: 'tkae', cancel: 'giveBack' })
  async freeze(_account: string, _points: number): Promise<void> {}

  async take(_account: string, _points: number): Promise<void> {}
  async giveBack(_account: string, _points: number): Promise<void> {}

  // @ts-expect-error meant a confirm that takes what the try takes
  @TryConfirmCancel({ confirm: 'take', cancel: 'giveBack' })
  async freezeByNumber(_account: number, _points: number): Promise<void> {}

  // @ts-expect-error meant `TryBranch<Hold | undefined>`: a try that failed half-way has no result to cancel with
  @TryConfirmCancel({ confirm: 'capture', cancel: 'release' })
  async hold(): Promise<{ holdId: string }> {
    return { holdId: 'h-1' };
  }

  async capture(_branch: TryBranch<{ holdId: string }>): Promise<void> {}
  async release(_branch: TryBranch<{ holdId: string }>): Promise<void> {}

  // @ts-expect-error meant a fixed number of arguments: the branch comes after them
  @TryConfirmCancel({ confirm: 'takeSome', cancel: 'takeSome' })
  async freezeSome(_account: string, _points?: number): Promise<void> {}

  async takeSome(_account: string, _points?: number): Promise<void> {}
}
