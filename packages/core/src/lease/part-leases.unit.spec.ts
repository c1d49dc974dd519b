import { subscribe } from '../monitoring/events.js';
import { silentLogger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import type { LeaseRequest, LeaseRound, LeaseStore } from './lease.store.port.js';
import { PartLeases } from './part-leases.js';

const TTL_MS = 5000;

/** Leases in memory, on the clock of the test. */
class MemoryLeases implements LeaseStore {
  readonly owners = new Map<number, { token: string; node: string; untilMs: number }>();
  readonly members = new Set<string>();
  isDown = false;
  count = 0;

  constructor(private readonly time: VirtualTime) {}

  async declare(_scope: string, parts: number): Promise<number> {
    this.count = parts;
    return parts;
  }

  async round(_scope: string, { nodeId, ownerTokens, newToken, ttlMs }: LeaseRequest): Promise<LeaseRound> {
    if (this.isDown) throw new Error('the store is down');
    this.members.add(nodeId);
    const share = Math.ceil(this.count / this.members.size);
    const untilMs = this.time.monotonicMs() + ttlMs;
    const isMine = (part: number) => ownerTokens.includes(this.owners.get(part)?.token ?? '');
    const parts = Array.from({ length: this.count }, (_, part) => part);
    for (const part of parts.filter(isMine)) (this.owners.get(part) as { untilMs: number }).untilMs = untilMs;
    const free = parts.filter((part) => !isMine(part) && (this.owners.get(part)?.untilMs ?? 0) <= this.time.monotonicMs());
    for (const part of free.slice(0, Math.max(0, share - parts.filter(isMine).length)))
      this.owners.set(part, { token: newToken, node: nodeId, untilMs });
    const held = [...this.owners]
      .filter(([, { node }]) => node === nodeId)
      .map(([part, { token }]) => ({ part, ownerToken: token, leftMs: ttlMs }));
    return { held, share };
  }

  async release(_scope: string, leases: readonly { part: number; ownerToken: string }[]): Promise<void> {
    for (const { part, ownerToken } of leases) if (this.owners.get(part)?.token === ownerToken) this.owners.delete(part);
  }

  async leave(_scope: string, { nodeId }: { nodeId: string }): Promise<void> {
    this.members.delete(nodeId);
    for (const [part, { node }] of this.owners) if (node === nodeId) this.owners.delete(part);
  }
}

describe('leases of parts', () => {
  let time: VirtualTime;
  let store: MemoryLeases;

  beforeEach(() => {
    time = new VirtualTime();
    store = new MemoryLeases(time);
  });

  async function join(
    nodeId: string,
    handOver: (part: number) => Promise<void> = async () => undefined,
    changed: () => unknown = () => undefined,
  ): Promise<PartLeases> {
    const ports = { store, scope: 'parts', count: 4, clock: time, scheduler: time, logger: silentLogger };
    const leases = new PartLeases({ ...ports, nodeId, changed: () => void changed(), handOver });
    await leases.start();
    await time.advance(0);
    return leases;
  }

  it('are all of one process, and half of two, with no part owned twice on the way', async () => {
    const one = await join('one');
    expect(one.mine()).toEqual([0, 1, 2, 3]);
    const two = await join('two');
    expect(two.mine()).toEqual([]);
    await time.advance(2000);
    expect([...one.mine(), ...two.mine()].sort()).toEqual([0, 1, 2, 3]);
    expect(two.mine()).toHaveLength(2);
  });

  it('are handed over only when nothing of the part is in work any more', async () => {
    let finish = (): void => undefined;
    const one = await join('one', () => new Promise((resolve) => (finish = resolve)));
    const two = await join('two');
    await time.advance(10_000);
    expect([one.mine().length, two.mine().length]).toEqual([2, 0]);
    finish();
    await time.advance(1000);
    expect(two.mine()).toHaveLength(1);
  });

  it('end by the own watch of a process that cannot renew them, before anybody else may have them', async () => {
    const one = await join('one');
    store.isDown = true;
    await time.advance(TTL_MS - 600);
    expect(one.ownerToken(0)).toBeDefined();
    await time.advance(700);
    expect(one.mine()).toEqual([]);
    expect(one.ownerToken(0)).toBeUndefined();
  });

  it('that ran out by the own watch are asked for as soon as they are needed, and told of when they are still ours', async () => {
    let changes = 0;
    const one = await join(
      'one',
      async () => undefined,
      () => (changes += 1),
    );
    store.isDown = true;
    await time.advance(TTL_MS + 1000);
    store.isDown = false;
    const before = changes;
    expect(one.mine()).toEqual([]);
    expect(one.isBusy).toBe(true);
    await time.advance(0);
    expect(one.mine()).toEqual([0, 1, 2, 3]);
    expect(changes).toBe(before + 1);
  });

  it('are given back at once by a process that stops', async () => {
    const one = await join('one');
    const two = await join('two');
    await time.advance(2000);
    await one.stop();
    expect(one.mine()).toEqual([]);
    await time.advance(600);
    expect([...two.mine()].sort()).toEqual([0, 1, 2, 3]);
  });

  it('are forgotten when another process has taken them, and told of when they come and when they go', async () => {
    const told: string[] = [];
    const stops = (['lease:taken', 'lease:lost'] as const).map((name) =>
      subscribe(name, ({ scope, part, node }) => told.push(`${name} ${scope} ${part} ${node}`)),
    );
    const one = await join('one');
    const parts = [0, 1, 2, 3];
    expect(told.splice(0)).toEqual(parts.map((part) => `lease:taken parts ${part} one`));
    for (const [part] of store.owners) store.owners.set(part, { token: 'thief', node: 'thief', untilMs: Number.POSITIVE_INFINITY });
    await time.advance(600);
    for (const stop of stops) stop();
    expect(one.mine()).toEqual([]);
    expect(told.sort()).toEqual(parts.map((part) => `lease:lost parts ${part} one`));
  });
});
