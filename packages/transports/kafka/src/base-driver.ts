import { type Opened, type Scheduler, within } from '@holdfast/core';
import type { ConsumerOptions, KafkaConsumer, Position } from './client.port.js';
import { refusalIn } from './refusal.js';
import type { Settings } from './settings.js';

/** What every driver waits with. */
export interface WaitingParts {
  readonly settings: Settings;
  readonly scheduler: Scheduler;
}

/** What is the same with every driver: every wait has an end, and what cannot be opened is let go of. */
export abstract class BaseDriver<Parts extends WaitingParts> {
  /** @param answerMs longest wait for an answer, with a group that waits for a member that has died until its session is over */
  protected constructor(
    protected readonly parts: Parts,
    private readonly answerMs: number,
  ) {}

  abstract openConsumer(options: ConsumerOptions): Promise<KafkaConsumer>;

  /** By a member, for as long as that takes. */
  async setPositions(group: string, positions: readonly Position[]): Promise<void> {
    const topics = [...new Set(positions.map(({ topic }) => topic))];
    const member = await this.openConsumer({ group, topics, joined: () => undefined, received: () => undefined });
    try {
      await this.answer('the place of a group', member.commit(positions));
    } finally {
      await member.end();
    }
  }

  protected async opened<T extends Opened>(what: string, thing: T, opening: Promise<void>): Promise<T> {
    try {
      await this.answer(what, opening);
      return thing;
    } catch (error) {
      await thing.end();
      throw error;
    }
  }

  protected async answer<T>(request: string, answer: Promise<T>): Promise<T> {
    const { scheduler, settings } = this.parts;
    try {
      return await within(scheduler, { request, timeoutMs: this.answerMs }, answer);
    } catch (error) {
      throw refusalIn(error, settings.address);
    }
  }
}
