import { createHash } from 'node:crypto';
import type { SubscriptionSpec } from '@holdfast/core';
import type { Settings } from './settings.js';

/** Longer ones are known by their hash: the broker makes names of topics from a group and a topic together. */
const LONGEST = 100;

/**
 * Names of topics and groups, for one service. RocketMQ takes letters, digits, `_` and `-`, so a dot becomes `_`, and `-` begins what stands for any other
 * sign: no two texts are written alike.
 */
export class Names {
  constructor(
    private readonly settings: Pick<Settings, 'prefix' | 'topics'>,
    private readonly service: string,
  ) {}

  /** Where messages of a type go. */
  topicOf(type: string): string {
    const { topics } = this.settings;
    return Object.hasOwn(topics, type) ? (topics[type] as string) : this.fitting(encoded(type));
  }

  /** Where a subscription takes from. */
  topicsOf({ types }: Pick<SubscriptionSpec, 'types'>): readonly string[] {
    return [...new Set(types.map((type) => this.topicOf(type)))];
  }

  /** Types that are known to share a topic with others. */
  typesIn(topic: string): readonly string[] {
    return Object.entries(this.settings.topics).flatMap(([type, shared]) => (shared === topic ? [type] : []));
  }

  /** The group of the processes with this subscription. */
  groupOf({ name }: Pick<SubscriptionSpec, 'name'>): string {
    return this.fitting(`${encoded(this.service)}-_${encoded(name)}`);
  }

  /** Where its dead letters go, when there is no store for them. */
  deadLettersOf({ name }: Pick<SubscriptionSpec, 'name'>): string {
    return this.fitting(`-d_${encoded(this.service)}-_${encoded(name)}`);
  }

  /** Where replies to this service go. */
  replies(): string {
    return this.fitting(`-r_${encoded(this.service)}`);
  }

  /** Of one process, which takes the replies to it. */
  groupOfReplies(nodeId: string): string {
    return this.fitting(`-r_${encoded(this.service)}-_${encoded(nodeId)}`);
  }

  private fitting(name: string): string {
    const { prefix } = this.settings;
    return prefix.length + name.length <= LONGEST ? prefix + name : `${prefix}-h_${createHash('sha256').update(name).digest('hex')}`;
  }
}

/** `-` is followed by itself, by `u` for an underscore, or by `x`, a number and `-`: never by what names begin or are joined with. */
function encoded(text: string): string {
  return text.replace(/[^a-z0-9]/gi, (sign) => {
    if (sign === '.') return '_';
    if (sign === '-') return '--';
    return sign === '_' ? '-u' : `-x${sign.charCodeAt(0).toString(16)}-`;
  });
}
