import { hfError } from '../errors/catalogue.js';
import type { ClaimTerm } from '../inbox/inbox.store.port.js';
import type { Store } from '../store/store.port.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { seededRandom } from '../time/random.js';
import type { UnitOfWork } from '../unit-of-work/unit-of-work.js';
import { GuardedMethod } from './guarded-method.js';

const LEASE_MS = 3000;

/** An idempotent method that is in work until `end` is called; renewals of its claim are answered in turn. */
function scene(answers: readonly Error[]) {
  const transcript: string[] = [];
  const time = new VirtualTime();
  const left = [...answers];
  const inbox = {
    claim: async () => ({ state: 'claimed', token: 'mine' }),
    renew: async ({ token }: ClaimTerm) => {
      const error = left.shift();
      transcript.push(error === undefined ? `renewed ${token}` : 'not renewed');
      if (error !== undefined) throw error;
    },
    finish: async () => void transcript.push('finished'),
  };
  const method = new GuardedMethod(
    {
      store: { inbox } as unknown as Store,
      unitOfWork: { isActive: false } as UnitOfWork,
      assertDatabase: () => undefined,
      currentTransaction: () => undefined,
      scheduler: time,
      random: seededRandom(1),
      logger: { info: () => undefined, warn: (text) => void transcript.push(text), error: () => undefined },
    },
    'pay',
    {
      retry: undefined,
      idempotency: { key: () => 'k', ttlMs: LEASE_MS * 10, lockTtlMs: LEASE_MS, onExpired: 'park' },
      unit: undefined,
    },
  );
  method.scopeId = 1;
  let end = (): void => undefined;
  const result = method.call([], () => new Promise<void>((resolve) => (end = resolve)));
  const finish = async () => {
    end();
    await result;
  };
  return { transcript, time, finish };
}

describe('an idempotent method that takes longer than its lease', () => {
  it('keeps its claim over a renewal that failed', async () => {
    const { transcript, time, finish } = scene([new Error('connection lost')]);
    await time.advance(LEASE_MS);
    await finish();
    await time.advance(LEASE_MS);
    expect(transcript).toEqual([
      'not renewed',
      'the claim of a method could not be renewed; it is tried again',
      'renewed mine',
      'renewed mine',
      'finished',
    ]);
  });

  it('renews no claim that somebody else has', async () => {
    const { transcript, time, finish } = scene([hfError('HF_LEASE_LOST', { resource: 'the claim of k' })]);
    await time.advance(LEASE_MS * 2);
    await finish();
    expect(transcript).toEqual(['not renewed', 'finished']);
  });
});
