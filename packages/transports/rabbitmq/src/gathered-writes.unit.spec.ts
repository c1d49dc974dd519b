import { Writable } from 'node:stream';
import { gatherWrites } from './gathered-writes.js';

/** A socket that notes what goes out in one piece. */
function socketOf() {
  const pieces: string[] = [];
  const socket = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      pieces.push(String(chunk));
      done();
    },
    writev: (chunks, done) => {
      pieces.push(chunks.map(({ chunk }) => String(chunk)).join(''));
      done();
    },
  });
  gatherWrites(socket as never);
  return { socket, pieces };
}

const aTurn = () => new Promise((resolve) => setImmediate(resolve));

describe('writes that are gathered', () => {
  it('go out together at the end of the turn, those of the next turn by themselves', async () => {
    const { socket, pieces } = socketOf();
    for (const text of ['a', 'b', 'c']) socket.write(text);
    expect(pieces).toEqual([]);
    await aTurn();
    socket.write('d');
    await aTurn();
    expect(pieces).toEqual(['abc', 'd']);
  });

  it('are not held back by the end of the socket, and do no harm when it is destroyed', async () => {
    const ending = socketOf();
    ending.socket.write('last');
    ending.socket.end();
    await aTurn();
    expect(ending.pieces).toEqual(['last']);
    const destroyed = socketOf();
    destroyed.socket.write('never');
    destroyed.socket.destroy();
    await aTurn();
    expect(destroyed.pieces).toEqual([]);
  });
});
