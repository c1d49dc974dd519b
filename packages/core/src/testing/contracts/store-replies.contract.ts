import { strict as assert } from 'node:assert';
import type { ReceivedReply } from '../../reply/received-reply.js';
import type { StoredReply } from '../../reply/reply.store.port.js';
import { assertFields, eventually } from './assertions.js';
import { factsOf } from './store-fact.js';
import { begin, inTransaction, type StoreFixture, start } from './store-kit.js';

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const one = await start(database);
  const other = await start(database);
  const reply = (address: string, text: string): StoredReply => ({ address, attributes: `{"id":"${text}"}`, body: Buffer.from(text) });
  const put = (...replies: StoredReply[]) => inTransaction(one, (tx) => one.store.replies.put(tx, replies));
  const texts = (replies: readonly ReceivedReply[]) => replies.map(({ body }) => Buffer.from(body).toString());
  return {
    put,
    reply,
    other,
    texts,
    one,
    end: async () => {
      await Promise.all([one.close(), other.close()]);
      await database.drop();
    },
  };
}

/** Replies between processes that share the database, as every store must keep them. */
export const REPLY_FACTS = factsOf('a reply', scene, {
  'comes to its address as it was written, in order, until it is removed, and nowhere else': async ({ put, reply, other, texts }) => {
    await put(reply('a', 'first ✓'), reply('b', 'elsewhere'), reply('a', ''));
    await put(reply('a', 'last'));
    const read = await other.store.replies.read('a', 2);
    assertFields(read[0], { attributes: '{"id":"first ✓"}', body: Buffer.from('first ✓') });
    assert.deepEqual(texts(read), ['first ✓', '']);
    assert.deepEqual(await other.store.replies.read('a', 2), read);
    await other.store.replies.remove(read);
    await other.store.replies.remove(read);
    assert.deepEqual(texts(await other.store.replies.read('a', 2)), ['last']);
    assert.deepEqual(texts(await other.store.replies.read('b', 2)), ['elsewhere']);
  },
  'that was rolled back is never read, and one that is not committed yet is not waited for': async ({ one, reply, put, other, texts }) => {
    const rolledBack = await begin(one);
    await one.store.replies.put(rolledBack, [reply('a', 'never')]);
    await rolledBack.rollback();
    const open = await begin(one);
    await one.store.replies.put(open, [reply('a', 'open')]);
    await put(reply('a', 'done'));
    const read = await other.store.replies.read('a', 10);
    assert.deepEqual(texts(read), ['done']);
    await other.store.replies.remove(read);
    await open.commit();
    assert.deepEqual(texts(await other.store.replies.read('a', 10)), ['open']);
  },
  'that nobody reads is trimmed when it is old enough, a bounded number at a time': async ({ put, reply, one }) => {
    await put(...Array.from({ length: 5 }, (_, n) => reply('gone', String(n))));
    assert.equal(await one.store.replies.trim(60_000, 10), 0);
    const trimmed = await eventually(
      () => one.store.replies.trim(0, 3),
      (count) => count > 0,
    );
    assert.deepEqual([trimmed, await one.store.replies.trim(0, 3)], [3, 2]);
    assert.deepEqual(await one.store.replies.read('gone', 10), []);
  },
});
