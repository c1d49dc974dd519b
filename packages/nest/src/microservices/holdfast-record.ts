import type { PublishOptions } from '@holdfast/core';

/** Data with publish options, for `emit` and `send` of HoldfastClientProxy: what RmqRecord and NatsRecord are to Nest's own transports. */
export class HoldfastRecord<T = unknown> {
  /**
   * @param data what the handler gets
   * @param options as for `bus.publish`: key, headers, id, delay or at …
   */
  constructor(
    readonly data: T,
    readonly options: PublishOptions,
  ) {}
}
