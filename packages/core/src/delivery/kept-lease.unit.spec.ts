import { hfError } from '../errors/catalogue.js';
import { VirtualTime } from '../testing/virtual-time.js';
import type { Lease } from './intake.port.js';
import { KeptLease, Renewal } from './kept-lease.js';

const MS = 3000;

function scene(answers: readonly (Error | Promise<void> | undefined)[] = []) {
  const transcript: string[] = [];
  const time = new VirtualTime();
  const left = [...answers];
  const renewal = new Renewal({
    scheduler: time,
    termMs: MS * 3,
    renew: async () => {
      transcript.push('renew');
      const answer = left.shift();
      if (answer instanceof Error) throw answer;
      await answer;
      transcript.push('renewed');
    },
    lost: () => transcript.push('lost'),
    failed: () => transcript.push('failed'),
  });
  return { transcript, time, renewal };
}

describe('a renewal', () => {
  it('comes again and again until it is stopped', async () => {
    const { transcript, time, renewal } = scene();
    await time.advance(MS * 2);
    await renewal.stop();
    await time.advance(MS * 2);
    expect(transcript).toEqual(['renew', 'renewed', 'renew', 'renewed']);
  });

  it('goes on after an error that passes', async () => {
    const { transcript, time } = scene([new Error('connection lost')]);
    await time.advance(MS * 2);
    expect(transcript).toEqual(['renew', 'failed', 'renew', 'renewed']);
  });

  it('ends when somebody else has it', async () => {
    const { transcript, time } = scene([hfError('HF_LEASE_LOST', { resource: 'a lane' })]);
    await time.advance(MS * 3);
    expect(transcript).toEqual(['renew', 'lost']);
  });
});

describe('a lease that is renewed', () => {
  it.each(['finish', 'release'] as const)('waits for the renewal that is under way before its %s', async (how) => {
    let answer = (): void => undefined;
    const { transcript, time, renewal } = scene([new Promise<void>((resolve) => (answer = resolve))]);
    const verb = (name: string) => async () => void transcript.push(name);
    const lease = new KeptLease({ finish: verb('finish'), release: verb('release') } as unknown as Lease, renewal);
    await time.advance(MS);
    const ended = how === 'finish' ? lease.finish(undefined) : lease.release();
    await time.advance(1);
    answer();
    await ended;
    await time.advance(MS * 2);
    expect(transcript).toEqual(['renew', 'renewed', how]);
  });
});
