import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { NonRetryableError } from '../../errors/non-retryable-error.js';
import { Command, Message } from '../../message/message.js';
import { subscribe } from '../../monitoring/events.js';
import { assertFields, assertIncludes, eventually } from './assertions.js';
import { Ask, ask, failure, KINDS, pair, STORELESS } from './request-kit.js';
import { factsOf, type TransportFact } from './transport-fact.js';
import { gate, quiet } from './transport-kit.js';

/** The same type as `Ask`, read by somebody who takes nothing. */
@Message('contract.ask', {
  schema: { '~standard': { version: 1, vendor: 'contract', validate: () => ({ issues: [{ message: 'it is bad' }] }) } },
})
class Unacceptable extends Command<unknown> {}

/** Requests, their replies, and everything that may happen to either. */
export const REPLY_FACTS: readonly TransportFact[] = [
  ...factsOf(
    'a request',
    {
      'is answered with what the handler returned, as JSON carries it': async (bench) => {
        const values: Readonly<Record<string, unknown>> = {
          text: 'grüße ✓',
          number: 7,
          nothing: null,
          list: [1, { a: true }],
          day: new Date(0),
        };
        const { asker } = await pair(bench, (text) => values[text]);
        for (const [text, value] of Object.entries(values)) assert.deepEqual(await ask(asker, text), JSON.parse(JSON.stringify(value)));
        assert.equal(await ask(asker, 'void'), undefined);
      },
      'is answered by handlers with and without a transaction, with and without an inbox': async (bench) => {
        for (const [kind, policies] of Object.entries(KINDS)) {
          const { asker, owner } = await pair(bench, (text) => `${kind} ${text}`, policies);
          assert.equal(await ask(asker, 'a'), `${kind} a`);
          await Promise.all([...new Set([asker, owner])].map((bus) => bench.leave(bus)));
        }
      },
      'is answered to the process that asked, and to nobody else': async (bench) => {
        const { asker, owner } = await pair(bench, (text) => text.toUpperCase());
        const other = owner === asker ? asker : await (await bench.bus()).start();
        const texts = Array.from({ length: 60 }, (_, n) => `text ${n}`);
        const answers = await Promise.all(texts.map((text, n) => ask(n % 2 === 0 ? asker : other, text)));
        assert.deepEqual(
          answers,
          texts.map((text) => text.toUpperCase()),
        );
      },
      'is answered by the attempt that commits': async (bench) => {
        const { asker, owner } = await pair(bench, async (text, { attempt }) => {
          await owner.process.write(`${text} ${attempt}`);
          if (attempt === 1) throw new Error('failed');
          if (attempt === 2) await owner.process.spoil();
          return attempt;
        });
        assert.equal(await ask(asker, 'a'), 3);
        assert.deepEqual(await bench.system.written(), ['a 3']);
      },
      'that is refused for good is rejected with the reason and its details': async (bench) => {
        const { asker, owner } = await pair(bench, (text) => {
          throw new NonRetryableError(`no ${text}`, { details: { orderId: 'o-1', left: [0] } });
        });
        const error = await failure(ask(asker, 'thanks'));
        assertFields(error, { code: 'HF_REQUEST_REJECTED', category: 'permanent' });
        assertFields(error.details, { type: 'contract.ask', reason: 'no thanks', details: { orderId: 'o-1', left: [0] } });
        assertIncludes(error.message, 'no thanks');
        assert.deepEqual(owner.seen, ['owner thanks 1']);
      },
      'is rejected by every kind of handler when its attempts are used up': async (bench) => {
        for (const policies of Object.values(KINDS)) {
          const { asker, owner } = await pair(
            bench,
            () => {
              throw Object.assign(new Error('out of order'), { code: 'E_BROKEN' });
            },
            policies,
          );
          assertFields((await failure(ask(asker, 'a'))).details, { code: 'E_BROKEN', reason: 'out of order', details: {} });
          assert.deepEqual(owner.attempts('owner'), ['owner a 1', 'owner a 2', 'owner a 3']);
          await Promise.all([...new Set([asker, owner])].map((bus) => bench.leave(bus)));
        }
      },
      'that nobody can read is rejected': async (bench) => {
        for (const transactional of [true, false]) {
          const owner = await bench.bus();
          owner.holdfast.on(Unacceptable, () => 'never', { name: 'contract.owner', transactional });
          await owner.start();
          assertFields((await failure(ask(owner, 'a'))).details, { code: 'HF_MESSAGE_INVALID' });
          await bench.leave(owner);
        }
      },
      'whose reply cannot be carried is rejected, and its handler not called again': async (bench) => {
        const values: Readonly<Record<string, unknown>> = { large: 'x'.repeat(70_000), huge: 10n };
        const { asker, owner } = await pair(bench, (text) => values[text], { ...KINDS.both, options: { limits: { bodyBytes: 65_536 } } });
        for (const text of Object.keys(values)) {
          // Asked again it says the same: what was done is not done twice to find out.
          for (const _ of [1, 2]) assertFields(await failure(ask(asker, text, { id: text })), { code: 'HF_REPLY_UNSENDABLE' });
        }
        await quiet();
        assert.deepEqual(owner.seen, ['owner large 1', 'owner huge 1']);
      },
      'that is repeated with its id is answered again, without a second effect': async (bench) => {
        for (const [id, policies] of Object.entries({ both: KINDS.both, idempotent: KINDS.idempotent })) {
          let count = 0;
          const { asker, owner } = await pair(bench, () => ({ count: ++count }), policies);
          const first = await ask(asker, 'a', { id });
          assert.deepEqual([first, await ask(asker, 'a', { id })], [{ count: 1 }, { count: 1 }]);
          assert.deepEqual(owner.seen, ['owner a 1']);
          await Promise.all([...new Set([asker, owner])].map((bus) => bench.leave(bus)));
        }
      },
      'with the business key of a command that was only sent is answered with its result': async (bench) => {
        const { asker, owner } = await pair(bench, (text) => `first ${text}`, {
          transactional: true,
          idempotent: { key: ({ text }: { text: string }) => text.charAt(0) } as never,
        });
        await asker.holdfast.bus.send(new Ask('abc'));
        await eventually(
          () => owner.seen,
          ({ length }) => length === 1,
        );
        assert.equal(await ask(asker, 'axx'), 'first abc');
      },
      'ends at its time-out, and the reply that comes after it is dropped': async (bench) => {
        const slow = gate();
        const { asker } = await pair(bench, async (text) => {
          if (text === 'slow') await slow.opened;
          return text;
        });
        // What is made for the first request takes its time.
        await ask(asker, 'first');
        const id = randomUUID();
        const dropped: unknown[] = [];
        const unsubscribe = subscribe('reply:dropped', (facts) => facts.id === id && dropped.push(facts));
        try {
          const error = await failure(ask(asker, 'slow', { timeout: 50, id }));
          assertFields(error, { code: 'HF_REQUEST_TIMEOUT', category: 'transient', details: { id, timeoutMs: 50 } });
          slow.open();
          await eventually(
            () => dropped,
            ({ length }) => length === 1,
          );
          assert.deepEqual(dropped, [{ id, source: 'contract', reason: 'nobody-waits' }]);
          assert.equal(await ask(asker, 'next'), 'next');
        } finally {
          unsubscribe();
        }
      },
      'ends with its signal': async (bench) => {
        const { asker } = await pair(bench, () => new Promise((resolve) => setTimeout(resolve, 200)));
        const reason = new Error('the caller has left');
        const controller = new AbortController();
        const asked = ask(asker, 'a', { signal: controller.signal });
        setTimeout(() => controller.abort(reason), 30);
        assert.equal(await asked.catch((error: unknown) => error), reason);
        assert.equal(await ask(asker, 'b', { signal: controller.signal }).catch((error: unknown) => error), reason);
      },
      'inside a unit of work is refused at once': async (bench) => {
        const { asker, owner } = await pair(bench, (text) => text);
        const error = await failure(asker.holdfast.unitOfWork.run(() => ask(asker, 'a')));
        assertFields(error, { code: 'HF_REQUEST_IN_TRANSACTION' });
        await quiet();
        assert.deepEqual(owner.seen, []);
      },
      'above the limit is refused, and one below it waits': async (bench) => {
        const slow = gate();
        const { asker } = await pair(bench, () => slow.opened.then(() => 'done'), { options: { requestLimit: 2 } });
        const waiting = [ask(asker, 'a'), ask(asker, 'b')];
        assertFields(await failure(ask(asker, 'c')), { code: 'HF_REQUEST_LIMIT', details: { limit: 2 } });
        slow.open();
        assert.deepEqual(await Promise.all(waiting), ['done', 'done']);
        assert.equal(await ask(asker, 'd'), 'done');
      },
      'that waits while its process stops is rejected, and handled all the same': async (bench) => {
        const slow = gate();
        const { asker, owner } = await pair(bench, async (text) => {
          await slow.opened;
          await owner.process.write(text);
        });
        const asked = failure(ask(asker, 'a'));
        await eventually(
          () => owner.seen,
          ({ length }) => length === 1,
        );
        if (owner === asker) return slow.open();
        await bench.leave(asker);
        assertFields(await asked, { code: 'HF_STOPPING', category: 'cancelled' });
        slow.open();
        assert.deepEqual(await bench.written(1), ['a']);
      },
      'outlives its requester, and the replies to that one harm nobody': async (bench) => {
        const slow = gate();
        const { asker, owner } = await pair(bench, (text) => slow.opened.then(() => text));
        if (owner === asker) return slow.open();
        void ask(asker, 'old').catch(() => undefined);
        await eventually(
          () => owner.seen,
          ({ length }) => length === 1,
        );
        await bench.leave(asker);
        slow.open();
        const next = await (await bench.bus()).start();
        assert.deepEqual(await Promise.all([ask(next, 'a'), ask(next, 'b')]), ['a', 'b']);
        assert.deepEqual(owner.attempts('owner old'), ['owner old 1']);
      },
    },
    ({ replies }) => replies,
  ),
  ...factsOf(
    'without a store, a request',
    {
      'is answered, by the attempt that succeeds': async (bench) => {
        const { asker } = await pair(
          bench,
          (text, { attempt }) => {
            if (attempt === 1) throw new Error('failed');
            return { text, attempt };
          },
          STORELESS,
        );
        assert.deepEqual(await ask(asker, 'a'), { text: 'a', attempt: 2 });
      },
      'is rejected for good, when its attempts are used up, and when its reply cannot be carried': async (bench) => {
        const { asker } = await pair(
          bench,
          (text) => {
            if (text === 'large') return 10n;
            throw text === 'refused' ? new NonRetryableError('no', { details: { n: 1 } }) : new Error('out of order');
          },
          STORELESS,
        );
        assertFields(await failure(ask(asker, 'refused')), { code: 'HF_REQUEST_REJECTED', details: { reason: 'no', details: { n: 1 } } });
        assertFields(await failure(ask(asker, 'broken')), { code: 'HF_REQUEST_REJECTED', details: { reason: 'out of order' } });
        assertFields(await failure(ask(asker, 'large')), { code: 'HF_REPLY_UNSENDABLE' });
      },
      'that nobody can read is rejected': async (bench) => {
        const owner = await bench.bus(STORELESS.options);
        owner.holdfast.on(Unacceptable, () => 'never', { name: 'contract.owner' });
        await owner.start();
        assertFields((await failure(ask(owner, 'a'))).details, { code: 'HF_MESSAGE_INVALID' });
      },
      'that has no owner anywhere is told so at once, as is a command that is sent': async (bench) => {
        const bus = await (await bench.bus(STORELESS.options)).start();
        assertFields(await failure(ask(bus, 'a')), { code: 'HF_COMMAND_UNROUTABLE' });
        assertFields(await failure(bus.holdfast.bus.send(new Ask('a'))), { code: 'HF_COMMAND_UNROUTABLE' });
      },
    },
    ({ replies, withoutStore }) => replies && withoutStore,
  ),
  ...factsOf(
    'a request',
    {
      'is refused, where replies find nobody': async (bench) => {
        const bus = await (await bench.bus()).start();
        assertFields(await failure(ask(bus, 'a', { timeout: '2s' })), { code: 'HF_CAPABILITY_UNSUPPORTED' });
      },
    },
    ({ replies }) => !replies,
  ),
];
