import { describeWithKafka, quiet, specOf, eventually } from '@holdfast-internal/test-support';
import { eachInScene, type Scene } from './kafka-scene.spec.js';

describeWithKafka('transactions of others on a topic', () => {
  let scene: Scene;
  eachInScene((opened) => {
    scene = opened;
  });

  it('are read when they are committed, and never when they were aborted, however they are interwoven', async () => {
    const { catcher } = await scene.consuming({ partitions: 1 }, specOf('reader', { from: 'earliest', id: undefined }));
    const names = ['a', 'b', 'c', 'd'];
    const producers = names.map((name) =>
      scene.area.client.producer({ transactionalId: `${scene.prefix}${name}`, maxInFlightRequests: 1, idempotent: true }),
    );
    await Promise.all(producers.map((producer) => producer.connect()));
    for (let round = 1; round <= 3; round += 1) {
      const open = await Promise.all(producers.map((producer) => producer.transaction()));
      for (let n = 1; n <= 2; n += 1)
        for (const [index, transaction] of open.entries()) {
          const headers = { ce_specversion: '1.0', ce_id: `${names[index]}${round}${n}`, ce_source: 'x', ce_type: 'scene.happened' };
          const value = `"${names[index]}${round}${n}"`;
          await transaction.send({
            topic: scene.topicOf(),
            messages: [{ key: 'k', value, headers: { ...headers, 'content-type': 'application/json' } }],
          });
        }
      // What ends first did not begin first.
      for (const [index, transaction] of [...open.entries()].reverse()) await (index === 1 ? transaction.commit() : transaction.abort());
    }
    await Promise.all(producers.map((producer) => producer.disconnect()));
    await eventually(
      () => catcher.texts.length,
      (length) => length >= 6,
    );
    await quiet();
    const late = await scene.consuming({ partitions: 1 }, specOf('late', { from: 'earliest', id: undefined }));
    await eventually(
      () => late.catcher.texts.length,
      (length) => length >= 6,
    );
    await quiet();
    const committed = ['b11', 'b12', 'b21', 'b22', 'b31', 'b32'].map((text) => `"${text}"`);
    expect(catcher.texts).toEqual(committed);
    expect(late.catcher.texts).toEqual(committed);
  });
});
