import { type Incoming, type RelayBatch, silentLogger, type Transport, VirtualTime } from '@holdfast/core';
import { DEFAULT_LIMITS } from '../../packages/core/src/message/limits.js';
import { Relay } from '../../packages/core/src/outbox/relay.js';
import { rowOf } from './support/messages.js';

function batchOf(lane: number): RelayBatch {
  const { attributes, body, type } = rowOf({ id: `message-${lane}`, key: `key-${lane}`, n: 1 });
  return { lane, from: { upTo: 0n, holes: [] }, dead: [], rows: [{ attributes, body, type, id: 1n } as Incoming & { id: bigint }] };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('the relay over several lanes', () => {
  it('finishes the lanes that can be sent before it reads again, when one of them cannot', async () => {
    const time = new VirtualTime();
    let reads = 0;
    let release = (): void => undefined;
    const advanced: number[] = [];
    const store = {
      read: async () => {
        reads += 1;
        return [batchOf(0), batchOf(1)];
      },
      advance: async ({ lane }: RelayBatch) => {
        advanced.push(lane);
        return false;
      },
    };
    const publish: Transport['publish'] = async ([envelope]) => {
      if (envelope?.id === 'message-0') throw new Error('refused');
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return ['confirmed'];
    };
    const relay = new Relay({ store, transport: { publish } as Transport, scheduler: time, logger: silentLogger, limits: DEFAULT_LIMITS });
    relay.start();
    await settle();
    await time.advance(10_000);
    expect({ reads, advanced }).toEqual({ reads: 1, advanced: [] });
    release();
    await settle();
    expect(advanced).toEqual([1]);
    await time.advance(200);
    expect(reads).toBe(2);
    release();
    await relay.stop();
  });
});
