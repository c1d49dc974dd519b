import type { Channel } from 'amqplib';
import type { Connection } from './connection.js';
import { settingsFrom } from './settings.js';
import { Topology } from './topology.js';

describe('bindings that nobody needs', () => {
  it('are removed one after another, each with the time of an answer for itself', async () => {
    const transcript: string[] = [];
    const channel = {
      checkQueue: async (queue: string) => void transcript.push(`is there: ${queue}`),
      unbindQueue: async (_: string, exchange: string, key: string) => void transcript.push(`unbind ${key} from ${exchange}`),
    } as unknown as Channel;
    const answer = async <T>(request: string, answered: Promise<T>) => {
      await answered;
      transcript.push(`answered: ${request}`);
    };
    const connection = { openChannel: async () => ({ channel, answer, end: async () => undefined }) } as unknown as Connection;
    const topology = new Topology(settingsFrom({ url: 'amqp://127.0.0.1' }), 'shop');
    await topology.unbind(connection, { name: 'reader', ordering: 'none', types: ['a', 'b'] });
    expect(transcript).toEqual([
      'is there: holdfast/shop/reader',
      'answered: the queue holdfast/shop/reader',
      'unbind a.* from holdfast',
      'answered: the end of a binding',
      'unbind b.* from holdfast',
      'answered: the end of a binding',
    ]);
  });
});
