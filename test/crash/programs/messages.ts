import { Message } from '@holdfast/core';
import type { Kind } from './options.js';

/** What every program publishes and handles. */
@Message('crash.work')
export class Work {
  constructor(
    readonly kind: Kind,
    /** The number of this message among those of its key, drawn under the key's row lock. */
    readonly seq: number,
    readonly ms: number,
    readonly ballast: string,
  ) {}
}

/** The same where it comes over the transport `events`. */
@Message('crash.work', { destination: 'events:crash.work' })
export class WorkOnEvents extends Work {}

/** Published by the handler of a 'forward'. */
@Message('crash.forwarded')
export class Forwarded {
  constructor(readonly from: string) {}
}
