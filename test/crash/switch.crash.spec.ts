// A running system goes from database() to RabbitMQ, and its processes die in the midst of that.
import { describeWithRabbit, eventually, openRabbit, pause, type RabbitArea } from '@holdfast-internal/test-support';
import { storeTools } from '@holdfast/core';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';
import type { ProgramOptions, Subscribing } from './programs/options.js';
import { account } from './support/account.js';
import { openArena } from './support/arena.js';
import { buildPrograms, killPrograms, Program } from './support/program.js';

const SUBSCRIPTIONS: readonly Subscribing[] = [
  { name: 'ordered', isOrdered: true },
  { name: 'batch', batchSize: 8 },
];
const BY = { by: 'a test', reason: 'a test' };

describeWithRabbit('a switch from database() to RabbitMQ', () => {
  let area: RabbitArea;
  beforeAll(async () => {
    buildPrograms();
    area = await openRabbit();
  });
  afterAll(async () => {
    await killPrograms();
    await area.drop();
  });

  it('loses and doubles nothing and keeps order, when a process dies just before it, another just after it, and others come', async () => {
    const arena = await openArena();
    const overLog: ProgramOptions = { url: arena.url, lanes: 4, subscriptions: SUBSCRIPTIONS };
    const broker = { url: area.url, exchange: area.name(), heartbeat: '2s', partitions: 4 } as const;
    const overBroker: ProgramOptions = { ...overLog, broker };
    const dataSource = await new DataSource({ type: 'postgres', url: arena.url, poolSize: 4 }).initialize();
    const load = { count: 300, perSecond: 60, kinds: ['ok', 'ok', 'slow', 'ok', 'throw-once'], ms: 60 } as const;

    const old = await new Program(overLog).ready();
    const [first, second] = [await new Program(overBroker).ready(), await new Program(overBroker).ready()] as const;
    for (const dying of [first, second]) dying.order({ publish: { ...load, prefix: `dying ${dying.pid}` } });
    await old.publish({ ...load, count: 60 });
    await old.stop();
    second.signal('SIGKILL');
    await storeTools(typeorm({ dataSource }), 'crash').store.carrier.switchTo('rabbitmq', BY);
    await pause(200);
    first.signal('SIGKILL');
    const [third, fourth] = [await new Program(overBroker).ready(), await new Program(overBroker).ready()] as const;
    await third.publish({ ...load, count: 60 });
    const all = [old, first, second, third, fourth];
    const promises = { once: ['ordered', 'batch'], ordered: ['ordered'], minimum: 150 };
    expect((await account(arena, all, promises)).faults).toEqual([]);
    await eventually(
      () => arena.look('select from holdfast_cursor'),
      ({ length }) => length === 0,
    );
    for (const program of [third, fourth]) expect((await program.stop()).code).toBe(0);
    await dataSource.destroy();
    await arena.close();
  });
});
