import { silentLogger } from '@holdfast/core';
import type { Administer, RocketmqTopics, TopicPlace } from './client.port.js';
import { Names } from './names.js';
import { settingsFrom } from './settings.js';
import { RocketmqTopology } from './topology.js';

describe('topics that are looked for', () => {
  it('are known when they are there or were made, also when one beside them cannot be made', async () => {
    const settings = settingsFrom({ endpoint: 'a:1', topology: 'assert' });
    const admin: Partial<RocketmqTopics> = {
      topics: async () => new Map<string, readonly TopicPlace[]>([['there', []]]),
      makeTopic: async ({ topic }) => {
        if (topic === 'bad') throw new Error('no');
      },
    };
    const administer: Administer = (work) => work(admin as Parameters<typeof work>[0]);
    const topology = new RocketmqTopology({
      administer,
      settings,
      names: new Names(settings, 'scene'),
      logger: silentLogger,
      hasStore: true,
    });
    const topics = ['there', 'made', 'bad'];
    await expect(topology.missing(new Map(topics.map((topic) => [topic, true])))).rejects.toThrow('no');
    expect(topics.filter((topic) => topology.isKnown(topic))).toEqual(['there', 'made']);
  });
});
