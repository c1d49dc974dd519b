import type { Envelope } from '../message/envelope.js';
import { DEFAULT_LIMITS } from '../message/limits.js';
import type { PublishOutcome, Transport } from '../transport/transport.port.js';
import { parkingOf, Sender, wavesOf } from './relay-sender.js';
import type { RelayRow } from './relay.store.port.js';

const row = (id: number, key?: string, also: Partial<RelayRow> & { kind?: string } = {}): RelayRow =>
  ({
    id: BigInt(id),
    key,
    isBehindParked: false,
    attempts: 0,
    attributes: JSON.stringify({
      id: `m${id}`,
      source: 's',
      type: 't',
      time: '2026-01-01T00:00:00Z',
      partitionkey: key,
      kind: also.kind ?? 'event',
    }),
    body: Buffer.from('{}'),
    ...also,
  }) as RelayRow;

const waves = (...rows: [number, string?][]) =>
  wavesOf(rows.map(([id, key]) => row(id, key))).map((wave) => wave.map(({ id }) => Number(id)));

/** A sender over a broker that answers by message id; the batches it got. */
function scene(answers: Readonly<Record<string, PublishOutcome>> = {}, ownerToken: () => string | undefined = () => 'token') {
  const batches: string[][] = [];
  const publish = async (batch: readonly Envelope[]) => {
    batches.push(batch.map(({ id }) => id));
    return batch.map(({ id }) => answers[id] ?? 'confirmed');
  };
  const sender = new Sender({
    lanes: { mine: () => [0], ownerToken },
    transport: { publish } as unknown as Transport,
    limits: DEFAULT_LIMITS,
  });
  const fates = async (...rows: RelayRow[]) => (await sender.send(0, rows)).map((fate) => (typeof fate === 'string' ? fate : fate.reason));
  return { batches, fates };
}

describe('the waves of a batch', () => {
  it('hold no key twice, so that a key has one unconfirmed message', () => {
    expect(waves([1, 'a'], [2, 'b'], [3, 'a'], [4, 'a'], [5, 'b'])).toEqual([[1, 2], [3], [4, 5]]);
  });

  it('take any number of messages without a key', () => {
    expect(waves([1], [2], [3, 'a'], [4])).toEqual([[1, 2, 3, 4]]);
  });

  it('keep the order of the log', () => {
    expect(waves([1, 'a'], [2, 'a'], [3, 'b'], [4, 'c'])).toEqual([[1], [2, 3, 4]]);
  });

  it('are none for an empty batch', () => {
    expect(waves()).toEqual([]);
  });
});

describe('what becomes of the rows of a batch', () => {
  it('parks what the broker refuses and what follows in its key, and sends the others', async () => {
    const { batches, fates } = scene({ m1: 'rejected' });
    expect(await fates(row(1, 'a'), row(2, 'b'), row(3, 'a'), row(4, 'b'))).toEqual(['rejected', 'sent', 'behind', 'sent']);
    expect(batches).toEqual([['m1', 'm2'], ['m4']]);
  });

  it('sends nothing after one that may not have arrived, of any key', async () => {
    const { batches, fates } = scene({ m2: 'unknown' });
    expect(await fates(row(1, 'a'), row(2, 'b'), row(3, 'a'), row(4))).toEqual(['sent', 'unknown', 'unsent', 'unsent']);
    expect(batches).toEqual([['m1', 'm2']]);
  });

  it('keeps behind its key what follows a message that is parked already', async () => {
    const { batches, fates } = scene();
    expect(await fates(row(1, 'a', { isBehindParked: true }), row(2, 'a'), row(3, 'b'))).toEqual(['behind', 'behind', 'sent']);
    expect(batches).toEqual([['m3']]);
  });

  it('takes an event that nobody listens to for sent, and parks a command without an owner', async () => {
    const { fates } = scene({ m1: 'unroutable', m2: 'unroutable' });
    expect(await fates(row(1), row(2, undefined, { kind: 'command' }))).toEqual(['sent', 'unroutable']);
  });

  it('parks a row that cannot be read, and those of its key', async () => {
    const { fates } = scene();
    expect(await fates(row(1, 'a', { attributes: '{"id":""}' }), row(2, 'a'), row(3))).toEqual(['unreadable', 'behind', 'sent']);
  });

  it('publishes nothing of a lane that may be another process by now', async () => {
    let looks = 0;
    const { batches, fates } = scene({}, () => {
      looks += 1;
      return looks > 1 ? undefined : 'token';
    });
    expect(await fates(row(1, 'a'), row(2, 'a'))).toEqual(['sent', 'unsent']);
    expect(batches).toEqual([['m1']]);
  });

  it('waits longer each time before it is sent again, up to a minute', () => {
    const delays = [0, 1, 2, 10, 1000].map(
      (attempts) => parkingOf(row(1, 'a', { attempts }), { reason: 'rejected', error: '' }, 1)?.delayMs,
    );
    expect(delays).toEqual([1000, 2000, 4000, 60_000, 60_000]);
  });
});
