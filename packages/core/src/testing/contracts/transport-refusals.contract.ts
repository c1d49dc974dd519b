import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { NonRetryableError } from '../../errors/non-retryable-error.js';
import type { EventName } from '../../monitoring/event-table.js';
import { subscribe } from '../../monitoring/events.js';
import { assertFields, eventually } from './assertions.js';
import { Ask, ask, failure, KINDS, pair, type Policies, STORELESS } from './request-kit.js';
import { factsOf, type TransportFact } from './transport-fact.js';
import { type Bus, quiet } from './transport-kit.js';

/** What a handler says that has decided. */
function refuse(): never {
  throw Object.assign(new NonRetryableError('not enough money'), { code: 'NO_MONEY' });
}

/** Refusals that their senders are told of: ends of messages, and no faults. */
export const REFUSAL_FACTS: readonly TransportFact[] = [
  ...factsOf(
    'a request that its handler refuses',
    {
      'is no dead letter, and an event tells of it, with a transaction and an inbox or without': async (bench) => {
        for (const policies of [KINDS.both, KINDS.plain]) {
          const { asker, owner } = await pair(bench, refuse, policies);
          const id = randomUUID();
          const ends = endsOf(id);
          assertFields((await failure(ask(asker, 'a', { id }))).details, { code: 'NO_MONEY', reason: 'not enough money' });
          await owner.holdfast.settled(30_000);
          assert.deepEqual([await lettersOf(owner), ends()], [[], ['delivery:refused contract.ask 1 NO_MONEY']]);
          await Promise.all([...new Set([asker, owner])].map((bus) => bench.leave(bus)));
        }
      },
      'is answered the same when it is asked again, and not handled again, where its handler remembers': async (bench) => {
        for (const policies of [KINDS.both, KINDS.idempotent]) {
          let calls = 0;
          const id = randomUUID();
          const { asker, owner } = await pair(bench, () => (++calls === 1 ? refuse() : 'yes'), policies);
          for (const _ of [1, 2, 3]) assertFields((await failure(ask(asker, 'a', { id }))).details, { code: 'NO_MONEY' });
          assert.deepEqual([calls, await ask(asker, 'another'), await lettersOf(owner)], [1, 'yes', []]);
          await Promise.all([...new Set([asker, owner])].map((bus) => bench.leave(bus)));
        }
      },
      'at its second attempt leaves nothing stored of the first': async (bench) => {
        const { asker, owner } = await pair(bench, (_, { attempt }) => {
          if (attempt === 1) throw new Error('the bank is closed');
          refuse();
        });
        assertFields((await failure(ask(asker, 'a'))).details, { code: 'NO_MONEY' });
        await owner.holdfast.settled(30_000);
        assert.deepEqual([owner.attempts('owner'), await lettersOf(owner)], [['owner a 1', 'owner a 2'], []]);
      },
      'does not make its subscription pause, however often that is': async (bench) => {
        const policies: Policies = { ...KINDS.both, failurePause: { messages: 3, share: 0.5, delay: '1m' } };
        const { asker } = await pair(bench, (text) => (text === 'good' ? 'yes' : refuse()), policies);
        for (let i = 0; i < 8; i += 1) assertFields((await failure(ask(asker, `${i}`))).details, { code: 'NO_MONEY' });
        assert.equal(await ask(asker, 'good'), 'yes');
      },
      'is a dead letter where nobody waits for the answer, as is one whose attempts are used up by a fault': async (bench) => {
        const { asker, owner } = await pair(bench, (text) => {
          if (text === 'sent') refuse();
          throw new Error('the bank is closed');
        });
        await asker.holdfast.bus.send(new Ask('sent'));
        assertFields((await failure(ask(asker, 'asked'))).details, { reason: 'the bank is closed' });
        const letters = await eventually(
          () => lettersOf(owner),
          ({ length }) => length === 2,
        );
        assert.deepEqual([...letters].sort(), ['NO_MONEY after 1', 'Error after 3'].sort());
      },
    },
    ({ replies }) => replies,
  ),
  ...factsOf(
    'a request that its handler refuses',
    {
      'lets the next one be handled with ordering by key, also where dead letters block it': async (bench) => {
        for (const transactional of [true, false]) {
          const policies: Policies = { transactional, idempotent: true, ordering: 'key', onDeadLetter: 'block' };
          const { asker, owner } = await pair(bench, answerOrRefuse, policies);
          const [refused, next] = [failure(ask(asker, 'refused', { key: 'k' })), ask(asker, 'next', { key: 'k' })];
          assertFields((await refused).details, { code: 'NO_MONEY' });
          assert.deepEqual([await next, await lettersOf(owner)], ['next', []]);
          await Promise.all([...new Set([asker, owner])].map((bus) => bench.leave(bus)));
        }
      },
    },
    ({ replies, partitionedDelivery }) => replies && partitionedDelivery,
  ),
  ...factsOf(
    'without a store, a request that its handler refuses',
    {
      'is no dead letter, and the next one is handled': async (bench) => {
        const id = randomUUID();
        const ends = endsOf(id);
        const { asker } = await pair(bench, answerOrRefuse, STORELESS);
        assertFields((await failure(ask(asker, 'refused', { id }))).details, { code: 'NO_MONEY' });
        assert.equal(await ask(asker, 'next'), 'next');
        await quiet();
        assert.deepEqual(ends(), ['delivery:refused contract.ask 1 NO_MONEY']);
      },
    },
    ({ replies, withoutStore }) => replies && withoutStore,
  ),
];

function answerOrRefuse(text: string): string {
  return text === 'refused' ? refuse() : text;
}

async function lettersOf({ holdfast }: Bus): Promise<readonly string[]> {
  return (await holdfast.deadLetters.list()).items.map(({ error, attempts }) => `${error.code} after ${attempts}`);
}

/** How a message ended that was not handled, as the events tell it from now on. */
function endsOf(wanted: string): () => readonly string[] {
  const heard: string[] = [];
  const names = ['delivery:refused', 'delivery:dead-lettered'] as const satisfies readonly EventName[];
  const stops = names.map((name) =>
    subscribe(name, ({ id, subscription, attempt, code }) => id === wanted && heard.push(`${name} ${subscription} ${attempt} ${code}`)),
  );
  return () => {
    for (const stop of stops) stop();
    return heard;
  };
}
