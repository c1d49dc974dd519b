import { randomBytes } from 'node:crypto';
import { encodeProduce, type ProduceRequest } from './record-batch.js';

// What kafkajs itself would send; it has no types for it.
const encodedByKafkajs: (request: object) => {
  encode(): Promise<{ readonly buffer: Buffer }>;
} = require('kafkajs/src/protocol/requests/produce/v7/request');

const AT_MS = 1_700_000_000_123;

async function bothOf(request: ProduceRequest): Promise<readonly [string, string]> {
  const clock = jest.spyOn(Date, 'now').mockReturnValue(AT_MS);
  const theirs = (await encodedByKafkajs(request).encode()).buffer.toString('hex');
  clock.mockRestore();
  return [encodeProduce(request, AT_MS).toString('hex'), theirs];
}

function requestOf(partitions: ProduceRequest['topicData'][number]['partitions'], more: Partial<ProduceRequest> = {}): ProduceRequest {
  return { acks: -1, timeout: 30_000, producerId: '77', producerEpoch: 3, topicData: [{ topic: 'orders', partitions }], ...more };
}

function messageOf(bytes: number, headers: Readonly<Record<string, Buffer | Buffer[]>> = {}) {
  return { key: randomBytes(bytes), value: randomBytes(bytes), headers };
}

describe('a produce request', () => {
  it('is what kafkajs sends: records, keys, values and headers of many lengths', async () => {
    const messages = [0, 1, 63, 64, 127, 128, 8191, 8192, 70_000].map((bytes) =>
      messageOf(bytes, { name: randomBytes(bytes), 'ü ☂': randomBytes(3) }),
    );
    const [ours, theirs] = await bothOf(requestOf([{ partition: 5, firstSequence: 12, messages }]));
    expect(ours).toBe(theirs);
  });

  it('is what kafkajs sends: no key, no value, no headers, and a header that is there twice', async () => {
    const twice = { key: null, value: randomBytes(5), headers: { again: [Buffer.from('a'), Buffer.from('b')], none: [] } };
    const messages = [{ key: null, value: null, headers: {} }, twice, messageOf(10)];
    const [ours, theirs] = await bothOf(requestOf([{ partition: 0, firstSequence: 0, messages }]));
    expect(ours).toBe(theirs);
  });

  it('is what kafkajs sends: a transaction over several topics and partitions, with more records than one byte counts', async () => {
    const many = Array.from({ length: 300 }, () => messageOf(20, { ce_type: Buffer.from('order.placed') }));
    const partitions = [0, 1].map((partition) => ({ partition, firstSequence: 2_000_000_000, messages: many }));
    const topicData = ['orders', 'payments'].map((topic) => ({ topic, partitions }));
    const [ours, theirs] = await bothOf(
      requestOf([], { topicData, transactionalId: 'größe', producerId: 9_007_199_254_740_993n, producerEpoch: 32_000 }),
    );
    expect(ours).toBe(theirs);
  });
});
