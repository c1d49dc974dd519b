import { NonRetryableError } from '../../errors/non-retryable-error.js';
import type { Effect } from './accounts.spec.js';
import type { SimulatedProcess } from './process.spec.js';
import type { World } from './world.spec.js';

type Kind = 'none' | 'transient' | 'refuses' | 'breaks' | 'hangs' | 'slow' | 'kills';

interface Fate {
  readonly kind: Kind;
  readonly times: number;
  /** Before what it does, or after it. */
  readonly isBefore: boolean;
  /** Processes that have died of it. */
  deaths: number;
}

/** What goes wrong in handlers and steps, decided once for each. */
export class Troubles {
  private readonly fates = new Map<string, Fate>();
  private readonly slow = new Map<SimulatedProcess, number>();

  constructor(
    private readonly world: World,
    private readonly kill: (process: SimulatedProcess) => void,
  ) {}

  /** Steps of a process that take their time, also those that it has given up. */
  slowIn(process: SimulatedProcess): number {
    return this.slow.get(process) ?? 0;
  }

  /** What is to happen around an effect. */
  before(process: SimulatedProcess, { saga, step, what }: Pick<Effect, 'saga' | 'step' | 'what'>, attempt: number) {
    const fate = this.fateOf(`${saga} ${step} ${what}`, what);
    const strike = async () => {
      // A step that kills does not know that it is calm.
      if (!this.world.isCalm || fate.kind === 'kills') await this.strike(process, fate, attempt);
    };
    return {
      begin: async () => (fate.isBefore ? strike() : undefined),
      end: async () => (fate.isBefore ? undefined : strike()),
    };
  }

  private async strike(process: SimulatedProcess, fate: Fate, attempt: number): Promise<void> {
    const { kind, times } = fate;
    if (kind === 'kills' && fate.deaths < times) {
      fate.deaths += 1;
      this.world.say('world', `kill ${process.name} by what it does`);
      this.kill(process);
      await new Promise<never>(() => undefined);
    }
    if (kind === 'refuses') throw new NonRetryableError('it is refused');
    if (kind === 'breaks' || (kind === 'transient' && attempt <= times)) throw new Error('it broke');
    if (kind === 'hangs' && attempt <= times) await new Promise<never>(() => undefined);
    if (kind !== 'slow') return;
    this.slow.set(process, this.slowIn(process) + 1);
    await process.sleep(this.world.between(50, 1500));
    this.slow.set(process, this.slowIn(process) - 1);
  }

  private fateOf(place: string, what: Effect['what']): Fate {
    let fate = this.fates.get(place);
    if (fate === undefined) {
      const { world } = this;
      const doing: readonly Kind[] = ['transient', 'transient', 'refuses', 'breaks', 'hangs', 'slow', 'kills'];
      const undoing: readonly Kind[] = ['transient', 'transient', 'breaks', 'hangs', 'slow', 'slow', 'kills'];
      const kind = world.chance(world.weather.troubles * 0.5) ? world.pick(what === 'do' ? doing : undoing) : 'none';
      fate = { kind, times: world.between(1, kind === 'kills' ? 5 : 3), isBefore: world.random.next() < 0.5, deaths: 0 };
      this.fates.set(place, fate);
    }
    return fate;
  }
}
