import { hfError } from '../errors/catalogue.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import type { SeenWrite } from '../unit-of-work/scope.js';

/** The sources of this package, as its frames name them. */
const OURS = /([^(]*[\\/])bus[\\/]outside-transaction\./.exec(framesHere()[0] ?? '')?.[1] ?? 'node_modules';

/** Notices the bug this product exists to remove: a row is saved, then a message is published, and nothing keeps the two together. */
export class OutsideTransaction {
  private readonly warned = new Set<string>();

  constructor(
    private readonly policy: 'warn' | 'throw' | 'allow',
    private readonly seenWrite: () => SeenWrite,
    private readonly logger: Logger,
  ) {}

  /**
   * Called for a publish outside any unit. Refuses it only where the write is for certain one of the same piece of work; else it warns, once for each
   * place in the code.
   *
   * @throws HF_OUTSIDE_TRANSACTION when the policy says so
   */
  check(type: string): void {
    if (this.policy === 'allow') return;
    const seen = this.seenWrite();
    if (seen === 'none') return;
    const site = callSite();
    if (this.policy === 'throw' && seen === 'own') throw hfError('HF_OUTSIDE_TRANSACTION', { type, site });
    // A publish that nobody awaits has no place in its stack.
    const place = site === UNKNOWN ? `${UNKNOWN} ${type}` : site;
    if (this.warned.has(place)) return;
    this.warned.add(place);
    emit('process:outside-transaction', { type, site });
    this.logger.warn(
      'a message is published after a write, and outside any transaction: a crash between the two keeps only one of them. Put both in a @Transactional method',
      { type, site },
    );
  }
}

const UNKNOWN = 'unknown';

/** The first frame that is neither ours nor of a dependency. */
function callSite(): string {
  const isTheirs = (frame: string) => !frame.includes(OURS) && !/node_modules|node:|\(<anonymous>\)/.test(frame);
  return framesHere().find(isTheirs) ?? UNKNOWN;
}

function framesHere(): string[] {
  const [, ...frames] = (new Error().stack ?? '').split('\n');
  // V8 may call a method by the name its function was made with, and that by which it was called.
  return frames.map((frame) =>
    frame
      .trim()
      .replace(/^at (async )?/, '')
      .replace(/^([^\s(]*\.)?[^\s.(]+ \[as ([^\]]+)\]/, '$1$2'),
  );
}
