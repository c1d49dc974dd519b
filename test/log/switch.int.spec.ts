import { borrowTestDatabase, servers, type TestDatabase } from '@holdfast-internal/test-support';
import { HandRelay } from './support/hand-relay.js';
import { keyOf, type LaneScene, openScene } from './support/lane-scene.js';
import { openStore, type OpenStore } from './support/open-store.js';
import { begin } from './support/writers.js';

const BY = { by: 'a test' };

describe.each(servers())('a log that is moved to a broker on $name', (server) => {
  let database: TestDatabase;
  let scene: LaneScene;
  let relay: HandRelay;
  const others: OpenStore[] = [];

  beforeEach(async () => {
    database = await borrowTestDatabase(server);
    scene = await openScene(database.url);
    await scene.store.carrier.announce(scene.nodeId, 'broker');
    relay = await HandRelay.of(scene);
  });

  afterEach(async () => {
    for (const other of others.splice(0)) await other.close();
    await scene.close();
    await database.drop();
  });

  const other = async (service = 'orders') => {
    const opened = await openStore(database.url, { lanes: 1, service });
    others.push(opened);
    return opened;
  };
  const switchOver = () => scene.store.carrier.switchTo('broker', BY);
  const advance = async (times = 2) => {
    let crossing = await scene.store.carrier.advance([scene.subscriptionId]);
    for (let more = 1; more < times; more += 1) crossing = await scene.store.carrier.advance([scene.subscriptionId]);
    return crossing;
  };
  const READING = { isSwitched: true, reading: [1] };
  const DONE = { isSwitched: true, reading: [] };
  const send = async (): Promise<string[]> => {
    const [batch] = await relay.read();
    if (batch === undefined) return [];
    expect(await relay.advance(batch, batch.rows.length)).toBe(true);
    return batch.rows.map(keyOf);
  };
  const refusal = () =>
    switchOver().then(
      () => 'none',
      ({ message }: Error) => message,
    );

  it('has each message read or sent, and none both: what drew its id before is the readers, whenever it commits', async () => {
    await scene.publish('handled');
    await scene.take();
    await scene.publish('unread');
    const slow = await scene.inFlight('slow');
    await switchOver();
    await scene.publish('after');
    expect(await advance()).toEqual(READING);
    expect(await scene.take()).toEqual(['unread']);
    expect(await scene.take()).toEqual([]);
    expect(await send()).toEqual(['after']);
    await slow.commit();
    expect(await advance()).toEqual(READING);
    expect(await scene.take()).toEqual(['slow']);
    expect(await advance()).toEqual(DONE);
    expect(await send()).toEqual([]);
  });

  it('is not left while a transaction is open that may yet write, though nothing is to be read', async () => {
    const slow = await scene.inFlight('slow');
    await switchOver();
    expect(await advance(4)).toEqual(READING);
    await slow.rollback();
    expect(await advance()).toEqual(DONE);
  });

  it('is left while writers never stop', async () => {
    await switchOver();
    const first = await scene.inFlight('a');
    expect(await advance()).toEqual(READING);
    const second = await scene.inFlight('b');
    await first.commit();
    expect(await advance()).toEqual(DONE);
    await second.commit();
    expect(await send()).toEqual(['a', 'b']);
  });

  it('is not left while somebody has the last message in work', async () => {
    await scene.publish('a');
    await switchOver();
    const tx = await begin(scene.store);
    expect((await scene.store.cursors.take(tx, { subscriptionId: scene.subscriptionId, lane: 0 }, 10)).messages).toHaveLength(1);
    expect(await advance()).toEqual(READING);
    await tx.rollback();
    expect(await advance()).toEqual(READING);
    expect(await scene.take()).toEqual(['a']);
    expect(await advance()).toEqual(DONE);
  });

  it('goes on by itself when the switch is cut short before the next ids are the broker’s, and no writer fails of it', async () => {
    const late = await scene.inFlight('before');
    await switchOver();
    await scene.query(`select setval('holdfast_lane_0', 1)`);
    await scene.publish('still-read');
    await scene.store.upkeep.raiseSequences();
    await scene.publish('sent');
    await late.commit();
    expect([await scene.take(), await scene.take()].flat().sort()).toEqual(['before', 'still-read']);
    expect(await send()).toEqual(['sent']);
    expect(await advance()).toEqual(DONE);
  });

  it('tells a process that reads the log nothing of what is the broker’s, in its looks, its backlog and its lag', async () => {
    await switchOver();
    await scene.publish('after');
    expect(await scene.store.cursors.news([scene.subscriptionId])).toEqual([]);
    expect(await scene.store.subscriptions.list()).toMatchObject([{ backlog: 0 }]);
    expect((await scene.store.carrier.show()).subscriptions).toMatchObject([{ carrier: 'log', backlog: 0 }]);
    expect(await send()).toEqual(['after']);
    expect(await scene.store.log.stats()).toMatchObject({ backlog: 0 });
    expect(await scene.store.log.lagMs()).toBe(0);
  });

  it('is refused while a process has not said over what it runs, and while a subscription of any service has no queue', async () => {
    const billing = await other('billing');
    await billing.register('billing.charge');
    const first = await refusal();
    expect(first).toContain('1 process of billing did not say which transport it has');
    expect(first).toContain('no process of billing with broker serves billing.charge (none runs at all)');
    await billing.store.carrier.announce(billing.nodeId, 'database');
    expect(await refusal()).toContain('serves billing.charge (those that run have database); start one, or retire it');
    await billing.store.carrier.announce(billing.nodeId, 'broker');
    expect(await refusal()).toBe('none');
    expect(await refusal()).toContain('it was moved to a broker before');
    expect(await scene.query('select actor, action, target from holdfast_audit')).toEqual([
      { actor: 'a test', action: 'switch', target: 'broker' },
    ]);
  });

  it('is refused while a living process would send it over another broker, of a service without subscriptions too', async () => {
    const web = await other('web');
    await web.store.carrier.announce(web.nodeId, 'elsewhere');
    expect(await refusal()).toContain('1 process of web (elsewhere) would send a part of it over another broker');
    await scene.query(`update holdfast_node set seen_at = now() - interval '16 seconds' where id = $1`, [web.nodeId]);
    expect(await refusal()).toBe('none');
  });

  it('does not wait for a process that is silent for long, and takes none for one that serves', async () => {
    const billing = await other('billing');
    await billing.register('billing.charge');
    await scene.query(`update holdfast_node set seen_at = now() - interval '1 hour' where id = $1`, [billing.nodeId]);
    const first = await refusal();
    expect(first).toContain('no process of billing with broker serves billing.charge (none runs at all); start one, or retire it');
    expect(first).not.toContain('did not say');
    await billing.store.carrier.announce(billing.nodeId, 'broker');
    expect(await refusal()).toContain('serves billing.charge (none runs at all)');
    await billing.store.subscriptions.setState('billing.charge', 'retired', { by: 'a test' });
    expect(await refusal()).toBe('none');
  });

  it('has no process beside it that would send it over another broker', async () => {
    await switchOver();
    const web = await other('web');
    const announcing = (transport: string) => web.store.carrier.announce(web.nodeId, transport);
    await expect(announcing('elsewhere')).rejects.toMatchObject({
      code: 'HF_TRANSPORT_OTHER',
      details: { transport: 'elsewhere', others: '1 process of orders (broker)' },
    });
    await announcing('broker');
    await web.store.nodes.leave(web.nodeId);
    await scene.store.nodes.leave(scene.nodeId);
    await announcing('elsewhere');
  });

  it('is not read by a process that starts after it, and a process with a broker has then nothing to read', async () => {
    const late = await other();
    const ask = (readsLog: boolean) => late.store.carrier.settle({ readsLog, subscriptionIds: [scene.subscriptionId] });
    expect(await ask(true)).toBe('log');
    expect(await ask(false)).toBe('log');
    await late.store.carrier.announce(late.nodeId, 'broker');
    await switchOver();
    await expect(ask(true)).rejects.toMatchObject({ code: 'HF_TRANSPORT_SWITCHED' });
    expect(await ask(false)).toBe('broker');
  });

  it('that nobody has read is the broker’s at once, and one that is sent is not read beside that by the same subscription', async () => {
    await scene.query('delete from holdfast_cursor');
    const ask = () => scene.store.carrier.settle({ readsLog: false, subscriptionIds: [scene.subscriptionId] });
    expect(await ask()).toBe('broker');
    expect(await refusal()).toContain('a relay sends it to a broker already');
    await scene.store.cursors.create(scene.subscriptionId, 'now');
    await expect(ask()).rejects.toMatchObject({
      code: 'HF_TRANSPORT_MIXED',
      message: expect.stringContaining('orders.reader has read it'),
    });
  });

  it('a process that was taken for dead and comes back still has its transport', async () => {
    await scene.query('delete from holdfast_node');
    expect(await scene.store.nodes.heartbeat(scene.nodeId)).toBeUndefined();
    expect((await scene.store.carrier.show()).subscriptions).toMatchObject([{ transports: ['broker'] }]);
  });
});
