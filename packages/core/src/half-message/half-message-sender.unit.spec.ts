import type { Envelope } from '../message/envelope.js';
import { subscribe } from '../monitoring/events.js';
import { silentLogger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import type { PublishOutcome, Transport, TransportHealth } from '../transport/transport.port.js';
import type { HalfMessageRef, HalfMessageStore } from './half-message.store.port.js';
import { HalfMessageSender, type SentHalfMessage } from './half-message-sender.js';

type Answer = PublishOutcome | 'silent' | 'broken';

/** A sender over a broker that answers so by type of message, and a register that says what became of each. */
function scene(answers: Readonly<Record<string, Answer>> = {}) {
  const time = new VirtualTime();
  const published: string[] = [];
  const register: string[] = [];
  const lanes: number[] = [];
  let health: TransportHealth = { status: 'up', problem: undefined };
  let settleFails = false;
  let answer: () => void = () => undefined;
  const silent = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const transport = {
    get health() {
      return health;
    },
    publish: async (batch: readonly Envelope[]) => {
      published.push(batch.map(({ id }) => id).join(' '));
      const said = batch.map(({ type }) => answers[type] ?? 'confirmed');
      if (said.includes('broken')) throw new Error('the broker');
      if (said.includes('silent')) await silent;
      return said.map((each) => (each === 'silent' ? 'confirmed' : each));
    },
  } as unknown as Transport;
  const names = (refs: readonly HalfMessageRef[]) => refs.map(({ unitId, ordinal }) => `${unitId}.${ordinal}`);
  const store = {
    settle: async ({ gone, logged }: { gone: readonly HalfMessageRef[]; logged: readonly HalfMessageRef[] }) => {
      if (settleFails) throw new Error('the register');
      register.push(...names(gone).map((each) => `${each} gone`), ...names(logged).map((each) => `${each} logged`));
      return logged.length > 0 ? [3] : [];
    },
  } as unknown as HalfMessageStore;
  const sender = new HalfMessageSender({ store, clock: time, logger: silentLogger, logged: (moved) => void lanes.push(...moved) });
  sender.sendOver(transport);
  let units = 0;
  return {
    sender,
    time,
    published,
    register,
    lanes,
    answer: () => answer(),
    setHealth: (status: TransportHealth['status']) => {
      health = { status, problem: undefined };
    },
    breakRegister: () => {
      settleFails = true;
    },
    /** A unit with messages of these types. */
    unit: (...types: readonly string[]): SentHalfMessage[] => {
      units += 1;
      return types.map((type, ordinal) => ({
        unitId: `u${units}`,
        transport: 'default',
        ordinal,
        sinceMs: time.monotonicMs(),
        envelope: {
          id: `${units}.${ordinal}`,
          type,
          kind: type.startsWith('do') ? 'command' : 'event',
          body: Buffer.alloc(10),
        } as unknown as Envelope,
      }));
    },
  };
}

describe('half messages of a unit that committed', () => {
  it('are sent together and leave the register when the broker has them', async () => {
    const { sender, unit, published, register, lanes } = scene();
    sender.send(unit('a', 'b'));
    await sender.stop();
    expect({ published, register, lanes }).toEqual({ published: ['1.0 1.1'], register: ['u1.0 gone', 'u1.1 gone'], lanes: [] });
  });

  it('go into the log, each by itself, when the broker did not take them; an event that nobody wants has arrived', async () => {
    const answers = { refused: 'rejected', lost: 'unknown', unwanted: 'unroutable', 'do it': 'unroutable' } as const;
    const { sender, unit, register, lanes } = scene(answers);
    sender.send(unit('ok', 'refused', 'lost', 'unwanted', 'do it'));
    await sender.stop();
    expect(register).toEqual(['u1.0 gone', 'u1.3 gone', 'u1.1 logged', 'u1.2 logged', 'u1.4 logged']);
    expect(lanes).toEqual([3]);
  });

  it('go into the log when the transport throws, and that is told', async () => {
    const told: unknown[] = [];
    const stop = subscribe('poll:failed', ({ loop }) => void told.push(loop));
    const { sender, unit, register } = scene({ broken: 'broken' });
    sender.send(unit('broken', 'fine'));
    await sender.stop();
    stop();
    expect({ register, told }).toEqual({ register: ['u1.0 logged', 'u1.1 logged'], told: ['sending half messages'] });
  });

  it.each(['down', 'blocked'] as const)('go into the log at once while the broker is %s', async (status) => {
    const { sender, unit, published, register, setHealth } = scene();
    setHealth(status);
    sender.send(unit('a'));
    await sender.stop();
    expect({ published, register }).toEqual({ published: [], register: ['u1.0 logged'] });
  });

  it('wait for a broker that is slow only a few batches deep, and not beyond a bound', async () => {
    const { sender, unit, published, register, answer } = scene({ slow: 'silent' });
    for (let sent = 0; sent < 4 + 10_000 + 5; sent += 1) sender.send(unit('slow'));
    expect(published).toEqual(['1.0', '2.0', '3.0', '4.0']);
    await Promise.resolve();
    expect(register).toEqual(['u10005.0 logged', 'u10006.0 logged', 'u10007.0 logged', 'u10008.0 logged', 'u10009.0 logged']);
    answer();
    await sender.stop();
  });

  it('are not sent from memory any more when somebody else may have dealt with them', async () => {
    const { sender, unit, published, register, answer, time } = scene({ slow: 'silent' });
    for (let sent = 0; sent < 5; sent += 1) sender.send(unit('slow'));
    await time.advance(3001);
    sender.send(unit('fresh'));
    answer();
    await time.advance(1);
    await sender.stop();
    expect(published).toEqual(['1.0', '2.0', '3.0', '4.0', '6.0']);
    expect(register).toContain('u5.0 logged');
  });

  it('go into the log when the process stops, also those of units that commit later', async () => {
    const { sender, unit, register, answer } = scene({ slow: 'silent' });
    for (let sent = 0; sent < 6; sent += 1) sender.send(unit('slow'));
    const stopping = sender.stop();
    sender.send(unit('late'));
    answer();
    await stopping;
    expect(register.filter((each) => each.endsWith('logged'))).toEqual(['u5.0 logged', 'u6.0 logged', 'u7.0 logged']);
    expect(register).toHaveLength(7);
  });

  it('stay in the register when that does not answer, and the process goes on', async () => {
    const { sender, unit, register, breakRegister } = scene();
    breakRegister();
    sender.send(unit('a'));
    await sender.stop();
    expect({ register, isBusy: sender.isBusy }).toEqual({ register: [], isBusy: false });
  });
});

it('half messages of a unit that was rolled back leave the register unsent', async () => {
  const { sender, unit, published, register } = scene();
  sender.drop(unit('a'));
  await sender.stop();
  expect({ published, register }).toEqual({ published: [], register: ['u1.0 gone'] });
});
