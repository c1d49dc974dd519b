import { ApartConnection } from './apart-connection.js';
import type { RawConnection } from './sql.js';

/** Connections that answer with their number; the first one is forgotten by the network when `isForgotten`. */
function scene() {
  const clock = { ms: 0, monotonicMs: () => clock.ms };
  const way = { isForgotten: false };
  const released: number[] = [];
  let opened = 0;
  const connect = async () => {
    opened += 1;
    const number = opened;
    const query = () => (way.isForgotten && number === 1 ? new Promise(() => undefined) : Promise.resolve({ rows: [number] }));
    return { client: { query }, release: () => released.push(number) } as unknown as RawConnection; // what is asked of a connection here
  };
  const apart = new ApartConnection({ connect, isPreparing: false, clock });
  return { apart, clock, way, released, run: () => apart.run({ text: 'select', values: [] }) };
}

describe('the connection apart', () => {
  it('is opened when it is first needed, and kept as long as it is used', async () => {
    const { run, clock, released } = scene();
    for (let turn = 0; turn < 3; turn += 1) {
      expect(await run()).toEqual([1]);
      clock.ms += 9_000;
    }
    expect(released).toEqual([]);
  });

  it('is another one after a quiet in which the network may have forgotten it', async () => {
    const { run, clock, way, released } = scene();
    await run();
    clock.ms += 10_001;
    way.isForgotten = true;
    expect(await run()).toEqual([2]);
    expect(released).toEqual([1]);
  });
});
