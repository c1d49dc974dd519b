import { hfError } from '../errors/catalogue.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';

/** Frames of a stack that are not the caller's. */
const OURS = /node_modules|node:|[\\/](core|nest)[\\/](src|dist)[\\/]/;

/** Notices the bug this product exists to remove: a row is saved, then a message is published, and nothing keeps the two together. */
export class OutsideTransaction {
  private readonly warned = new Set<string>();

  constructor(
    private readonly policy: 'warn' | 'throw' | 'allow',
    private readonly hasWritten: () => boolean,
    private readonly logger: Logger,
  ) {}

  /** Called for a publish outside any unit. @throws HF_OUTSIDE_TRANSACTION when the policy says so */
  check(type: string): void {
    if (this.policy === 'allow' || !this.hasWritten()) return;
    const site = callSite();
    if (this.policy === 'throw') throw hfError('HF_OUTSIDE_TRANSACTION', { type, site });
    if (this.warned.has(site)) return;
    this.warned.add(site);
    emit('process:outside-transaction', { type, site });
    this.logger.warn(
      'a message is published after a write, and outside any transaction: a crash between the two keeps only one of them. Put both in a @Transactional method',
      { type, site },
    );
  }
}

function callSite(): string {
  const frames = (new Error().stack ?? '').split('\n').slice(1);
  return (frames.find((frame) => !OURS.test(frame)) ?? 'unknown').trim().replace(/^at /, '');
}
