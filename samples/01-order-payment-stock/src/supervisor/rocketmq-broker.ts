import { EmbeddedRocketmq, missingTools } from '@holdfast-internal/embedded-rocketmq';
import type { Broker } from './broker.js';

/**
 * The RocketMQ of a run: the one at ROCKETMQ_ENDPOINT, with topics and groups of this run, which stay there, and begin with ROCKETMQ_PREFIX where that is set; else one
 * that is started for it.
 */
export class RocketmqBroker implements Broker {
  readonly environment;

  private constructor(
    place: { readonly endpoint: string; readonly nameServer: string | undefined },
    private readonly embedded: EmbeddedRocketmq | undefined,
  ) {
    this.environment = {
      ROCKETMQ_ENDPOINT: place.endpoint,
      ...(place.nameServer === undefined ? {} : { ROCKETMQ_NAME_SERVER: place.nameServer }),
      ROCKETMQ_PREFIX: process.env.ROCKETMQ_PREFIX ?? `sample-${process.pid}-${Date.now().toString(36)}_`,
    };
  }

  /** @throws an Error that says what to do when there is none */
  static async open(endpoint = process.env.ROCKETMQ_ENDPOINT): Promise<RocketmqBroker> {
    if (endpoint !== undefined) return new RocketmqBroker({ endpoint, nameServer: process.env.ROCKETMQ_NAME_SERVER }, undefined);
    const missing = missingTools();
    if (missing !== undefined) throw new Error(`no RocketMQ can be started: ${missing}. Install Java and Maven, or set ROCKETMQ_ENDPOINT`);
    const embedded = await EmbeddedRocketmq.start();
    return new RocketmqBroker(embedded, embedded);
  }

  async remove(): Promise<void> {
    await this.embedded?.remove();
  }
}
