import { type Envelope, type Store, silentLogger, systemClock, systemRandom, systemScheduler, type TransportContext } from '@holdfast/core';
import { inMemory } from './in-memory-transport.js';

const SPEC = { name: 'shop.book', types: ['order.placed'], concurrency: 1, batchSize: 1, ordering: 'none' };
const PLACED = { id: '1', source: 'shop', type: 'order.placed', version: 1, kind: 'event', time: new Date(0), headers: {} } as Envelope;

/** One that has a subscription, of which nothing is taken yet. */
async function started(store: Store | undefined) {
  const parts = { clock: systemClock, random: systemRandom, scheduler: systemScheduler, logger: silentLogger };
  const context: TransportContext = { service: 'shop', nodeId: 'me', store, ...parts };
  const transport = inMemory().create(context);
  await transport.start({ subscriptions: [SPEC as never] });
  return transport;
}

describe('what is published in memory', () => {
  it('is kept for those who take it', async () => {
    const transport = await started(undefined);
    expect(await transport.publish([PLACED, { ...PLACED, type: 'another' }])).toEqual(['confirmed', 'unroutable']);
  });

  it('stays in the outbox once nobody takes it any more', async () => {
    const transport = await started({} as Store);
    await transport.drain(0);
    expect(await transport.publish([PLACED, { ...PLACED, type: 'another' }])).toEqual(['unknown', 'unroutable']);
  });

  it('is not known to be anywhere after the end', async () => {
    const transport = await started(undefined);
    await transport.drain(0);
    expect(await transport.publish([PLACED])).toEqual(['confirmed']);
    await transport.close(0);
    expect(await transport.publish([PLACED])).toEqual(['unknown']);
  });
});
