import { NonRetryableError } from '../../errors/non-retryable-error.js';
import type { Effect } from './accounts.spec.js';
import type { SimulatedProcess } from './process.spec.js';
import type { World } from './world.spec.js';

type Kind = 'none' | 'transient' | 'refuses' | 'breaks' | 'hangs' | 'slow';

interface Fate {
  readonly kind: Kind;
  readonly times: number;
  /** Before what it does, or after it. */
  readonly isBefore: boolean;
}

/** What goes wrong in handlers and steps, decided once for each. */
export class Troubles {
  private readonly fates = new Map<string, Fate>();

  constructor(private readonly world: World) {}

  /** What is to happen around an effect. */
  before(process: SimulatedProcess, { saga, step, what }: Pick<Effect, 'saga' | 'step' | 'what'>, attempt: number) {
    const fate = this.fateOf(`${saga} ${step} ${what}`, what);
    const strike = async () => {
      if (!this.world.isCalm) await this.strike(process, fate, attempt);
    };
    return {
      begin: async () => (fate.isBefore ? strike() : undefined),
      end: async () => (fate.isBefore ? undefined : strike()),
    };
  }

  private async strike(process: SimulatedProcess, { kind, times }: Fate, attempt: number): Promise<void> {
    if (kind === 'refuses') throw new NonRetryableError('it is refused');
    if (kind === 'breaks' || (kind === 'transient' && attempt <= times)) throw new Error('it broke');
    if (kind === 'hangs' && attempt <= times) await new Promise<never>(() => undefined);
    if (kind === 'slow') await process.sleep(this.world.between(50, 1500));
  }

  private fateOf(place: string, what: Effect['what']): Fate {
    let fate = this.fates.get(place);
    if (fate === undefined) {
      const { world } = this;
      const doing: readonly Kind[] = ['transient', 'transient', 'refuses', 'breaks', 'hangs', 'slow'];
      const undoing: readonly Kind[] = ['transient', 'transient', 'breaks', 'hangs', 'slow', 'slow'];
      const kind = world.chance(world.weather.troubles * 0.5) ? world.pick(what === 'do' ? doing : undoing) : 'none';
      fate = { kind, times: world.between(1, 3), isBefore: world.random.next() < 0.5 };
      this.fates.set(place, fate);
    }
    return fate;
  }
}
