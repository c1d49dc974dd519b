import { EventEmitter } from 'node:events';
import { type Scheduler, silentLogger } from '@holdfast/core';
import type { PostgresContext } from './context.js';
import { PostgresWakeups } from './wakeups.js';

/** Connections that are handed out when the test says so, and what became of them. */
class Scene {
  readonly connections: { readonly client: EventEmitter; readonly isReleased: () => boolean }[] = [];
  readonly wakeups: PostgresWakeups;
  /** What the next connection waits for, and what its statement comes to. */
  opening: Promise<void> = Promise.resolve();
  statement: () => Promise<unknown> = () => Promise.resolve();
  /** How often a connection was asked whether it still answers. */
  asked = 0;
  private later: (() => void)[] = [];

  constructor() {
    const after = (_ms: number, then: () => void) => {
      this.later.push(then);
      return { cancel: () => void this.later.splice(0, this.later.length, ...this.later.filter((each) => each !== then)) };
    };
    const scheduler = { after } as unknown as Scheduler;
    const context = { nodeId: 'one', tables: { outbox: 'holdfast_outbox' } } as PostgresContext;
    this.wakeups = new PostgresWakeups(context, () => this.connect() as never, { scheduler, logger: silentLogger });
  }

  /** Time passes. */
  async pass(): Promise<void> {
    for (const then of this.later.splice(0)) then();
    await new Promise(setImmediate);
  }

  get held(): number {
    return this.connections.filter(({ isReleased }) => !isReleased()).length;
  }

  private async connect() {
    await this.opening;
    let releases = 0;
    const query = (text: string) => {
      if (text === 'select 1') this.asked += 1;
      return this.statement();
    };
    const client = Object.assign(new EventEmitter(), { query });
    this.connections.push({ client, isReleased: () => releases === 1 });
    const release = () => {
      releases += 1;
    };
    return { client, release };
  }
}

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => jest.useRealTimers());

const wake = () => undefined;

/** Within which the server has to answer. */
const ANSWER_MS = 10_000;

it('a connection that comes after the end is let go of', async () => {
  await scene.wakeups.listen(wake);
  let open = () => {};
  scene.opening = new Promise((resolve) => {
    open = resolve;
  });
  scene.connections[0]?.client.emit('end');
  await scene.pass();
  scene.wakeups.stopListening();
  open();
  await scene.pass();
  expect([scene.connections.length, scene.held]).toEqual([2, 0]);
});

it('one that cannot listen is let go of, and another one is tried until one can', async () => {
  await scene.wakeups.listen(wake);
  scene.statement = () => Promise.reject(new Error('no'));
  scene.connections[0]?.client.emit('error');
  await scene.pass();
  await scene.pass();
  expect([scene.connections.length, scene.held]).toEqual([3, 0]);
  scene.statement = () => Promise.resolve();
  await scene.pass();
  expect([scene.connections.length, scene.held]).toEqual([4, 1]);
  await scene.pass();
  expect(scene.connections).toHaveLength(4);
  scene.wakeups.stopListening();
  expect(scene.held).toBe(0);
});

it('one that is lost while it begins to listen is let go of once', async () => {
  scene.statement = async () => void scene.connections.at(-1)?.client.emit('end');
  expect(await scene.wakeups.listen(wake)).toBe(false);
  expect(scene.held).toBe(0);
});

it('one that answers nothing any more, though nobody has ended it, is let go of, and another one listens', async () => {
  jest.useFakeTimers({ doNotFake: ['setImmediate'] });
  const woken = jest.fn();
  await scene.wakeups.listen(woken);
  await scene.pass();
  await scene.pass();
  expect([scene.asked, scene.held]).toEqual([2, 1]);
  scene.statement = () => new Promise(() => undefined);
  await scene.pass();
  await jest.advanceTimersByTimeAsync(ANSWER_MS - 1);
  expect(scene.held).toBe(1);
  await jest.advanceTimersByTimeAsync(1);
  expect(scene.held).toBe(0);
  scene.statement = () => Promise.resolve();
  await scene.pass();
  expect([scene.connections.length, scene.held]).toEqual([2, 1]);
  expect(woken).toHaveBeenCalledTimes(1);
});

it('one is tried again when the first one cannot listen, or is never told that it does', async () => {
  jest.useFakeTimers({ doNotFake: ['setImmediate'] });
  const woken = jest.fn();
  scene.statement = () => new Promise(() => undefined);
  const listening = scene.wakeups.listen(woken);
  await jest.advanceTimersByTimeAsync(ANSWER_MS);
  expect([await listening, scene.held]).toEqual([false, 0]);
  scene.statement = () => Promise.resolve();
  await scene.pass();
  expect(scene.held).toBe(1);
  expect(woken).toHaveBeenCalledTimes(1);
});
