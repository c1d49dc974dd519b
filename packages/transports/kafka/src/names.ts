import { createHash } from 'node:crypto';
import { addressOf, type Envelope, type SubscriptionSpec } from '@holdfast/core';
import type { Place } from './client.port.js';
import { isTopicName, type Settings } from './settings.js';

/** Names of topics and groups, for one service. Those that are not of a type have a hyphen where a type has a letter. */
export class Names {
  constructor(
    private readonly settings: Pick<Settings, 'prefix' | 'topics'> & Partial<Settings>,
    private readonly service: string,
  ) {}

  /** Where messages of a type go, or those that are sent to an address. */
  topicOf(type: string): string {
    const { topics, prefix } = this.settings;
    if (Object.hasOwn(topics, type)) return topics[type] as string;
    return /^[a-z0-9]/i.test(type) ? fitting(prefix, type) : hashed(prefix, type);
  }

  /** Where a message goes: a reply to the topic in the address of the process that waits for it. */
  topicFor(envelope: Envelope): string {
    const { kind, destination = '' } = envelope;
    return kind === 'reply' ? (destination.split('/', 1)[0] as string) : this.topicOf(addressOf(envelope));
  }

  /** Where a subscription takes from. */
  topicsOf({ types, addresses = types }: Pick<SubscriptionSpec, 'types' | 'addresses'>): readonly string[] {
    return [...new Set(addresses.map((address) => this.topicOf(address)))];
  }

  /** Whether a subscription takes what has this type from a topic, where others may be. What has no type may be anything. Undefined: it takes all that is there. */
  takes(
    { types, addresses = types }: Pick<SubscriptionSpec, 'types' | 'addresses'>,
    topic: string,
  ): ((type: string) => boolean) | undefined {
    if (addresses.some((address, place) => address !== types[place] && this.topicOf(address) === topic))
      return (type) => type === '' || types.includes(type);
    // A topic that several types share has some that this subscription does not take.
    const others = new Set(this.typesIn(topic).filter((type) => !types.includes(type)));
    return others.size === 0 ? undefined : (type) => !others.has(type);
  }

  /** Types that are known to share a topic with others. */
  typesIn(topic: string): readonly string[] {
    return Object.entries(this.settings.topics).flatMap(([type, shared]) => (shared === topic ? [type] : []));
  }

  /** The group whose members are the processes with this subscription. */
  groupOf({ name }: Pick<SubscriptionSpec, 'name'>): string {
    return `${this.settings.prefix}${encodeURIComponent(this.service)}/${name}`;
  }

  /** Who makes the transactions of a group in a partition. No topic has a slash, so no two are alike. */
  transactionalIdOf(group: string, { topic, partition }: Place): string {
    return `${this.settings.transactionalId ?? this.service}-${group}/${topic}/${partition}`;
  }

  /** Where its dead letters go, when there is no store for them. */
  deadLettersOf({ name }: Pick<SubscriptionSpec, 'name'>): string {
    return fitting(this.settings.prefix, `-dead.${encoded(this.service)}.${encoded(name)}`);
  }

  /** Of one process, which reads all replies to its service. No subscription's group has two signs in a row: a service has a name. */
  groupOfReplies(nodeId: string): string {
    return `${this.settings.prefix}${encodeURIComponent(this.service)}//replies/${nodeId}`;
  }

  /** Where replies to this service go. */
  replies(): string {
    return fitting(this.settings.prefix, `-replies.${encoded(this.service)}`);
  }
}

/** A name that Kafka takes is taken; any other one is known by its hash. */
function fitting(prefix: string, name: string): string {
  return isTopicName(prefix + name) ? prefix + name : hashed(prefix, name);
}

function hashed(prefix: string, name: string): string {
  return `${prefix}-sha256.${createHash('sha256').update(name).digest('hex')}`;
}

/** As a part of a name that two dots enclose: no two texts are encoded alike. */
function encoded(text: string): string {
  return text.replace(/[^a-z0-9-]/gi, (sign) => `_${sign.codePointAt(0)?.toString(16)}_`);
}
