import { hfError } from '../errors/catalogue.js';
import { type RunnableTry, runnableTry, type TryDefinition } from './try-definition.js';

/** The tries of a process, by name. */
export class TryRegister {
  private readonly byName = new Map<string, RunnableTry>();

  constructor(private readonly problem: (text: string) => void) {}

  get names(): readonly string[] {
    return [...this.byName.keys()];
  }

  get tries(): readonly RunnableTry[] {
    return [...this.byName.values()];
  }

  /** Adds a try; what is wrong with it goes to the problems. */
  add(definition: TryDefinition, dataSources: readonly string[]): RunnableTry {
    const { name } = definition;
    if (this.byName.has(name))
      this.problem(hfError('HF_TCC_DEFINITION', { method: name, problem: 'the name is taken by another try of this process' }).message);
    const runnable = runnableTry(definition, this.problem, dataSources);
    this.byName.set(name, runnable);
    return runnable;
  }

  find(name: string): RunnableTry | undefined {
    return this.byName.get(name);
  }
}
