// Hooks of a handler's unit that never end.
import { Holdfast, type Scheduler, silentLogger, systemScheduler } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { eventually, openScene, OrderPlaced, type Scene } from '../bad-input/support/scene.js';

/** For how long a hook is waited for, and how long that takes here. */
const [HOOK_MS, SHORT_MS] = [30_000, 300];
const scheduler: Scheduler = {
  ...systemScheduler,
  after: (ms, task, options) => systemScheduler.after(ms === HOOK_MS ? SHORT_MS : ms, task, options),
};

let scene: Scene;
let bus: Holdfast;

beforeEach(async () => {
  scene = await openScene();
  const store = typeorm({ dataSource: scene.dataSource, lanes: 1 });
  bus = new Holdfast({ service: 'shop', transport: database(), store }, { logger: silentLogger, scheduler });
});
afterEach(async () => {
  await bus.stop();
  await scene.close();
});

it.each(['afterCommit', 'afterRollback'] as const)(
  'one of %s does not keep the next message from the handler, of which one call runs at a time',
  async (hook) => {
    const handled: string[] = [];
    const pay = async ({ orderId }: OrderPlaced) => {
      handled.push(orderId);
      if (orderId !== 'hangs') return;
      bus.unitOfWork[hook](() => new Promise<void>(() => undefined));
      if (hook === 'afterRollback') throw new Error('declined');
    };
    bus.on(OrderPlaced, pay, { name: 'billing.charge', transactional: true, concurrency: 1, timeout: '20s', retry: { attempts: 1 } });
    await bus.start();
    // Their own default of 30 s would be as short as that of the hook.
    for (const id of ['hangs', 'next'])
      await bus.unitOfWork.run({ timeout: '20s' }, () => bus.bus.publish(new OrderPlaced(id, 1), { key: 'k' }));
    await eventually(async () => (handled.length >= 2 ? true : undefined), 20_000);
    expect(handled).toEqual(['hangs', 'next']);
  },
);
