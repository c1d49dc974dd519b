import { hfError } from '../errors/catalogue.js';
import { printable } from '../errors/printable.js';
import type { MessageClass } from '../message/message.js';
import type { CallMethod } from './saga-class.js';
import { planOfInstance } from './saga-class.js';
import { SagaBuilder } from './saga-builder.js';
import type { SagaDefinition } from './saga-definition.js';
import { runnableFrom, type RunnableSaga } from './saga-plan.js';
import type { SagaOutline } from './saga.store.port.js';
import { sagaName } from './saga.decorators.js';

/** The sagas of a process, by their class or builder, and by name and version: several versions of one are at work side by side. */
export class SagaRegister {
  private readonly byKey = new Map<object, RunnableSaga>();
  private readonly byVersion = new Map<string, RunnableSaga>();

  constructor(private readonly problem: (text: string) => void) {}

  get definitions(): readonly SagaDefinition[] {
    return [...this.byKey.values()].map(({ definition }) => definition);
  }

  /** Classes of the messages that steps may wait for. */
  get signals(): readonly MessageClass[] {
    return [...new Set([...this.byKey.values()].flatMap(({ signals }) => signals))];
  }

  get outlines(): readonly SagaOutline[] {
    return [...this.byKey.values()].map(({ definition: { name, version }, outline }) => ({ saga: name, version, outline }));
  }

  /** Adds a builder, or an instance of a class with `@Saga`, whose steps may run in these DataSources; what is wrong with it goes to the problems. */
  add(saga: object, call?: CallMethod, dataSources: readonly string[] = []): void {
    const key = saga instanceof SagaBuilder ? saga : (Object.getPrototypeOf(saga) as { constructor: object }).constructor;
    const plan = saga instanceof SagaBuilder ? saga.plan : planOfInstance(saga, this.problem, call);
    if (plan === undefined) return;
    const runnable = runnableFrom(plan, this.problem, dataSources);
    const { name, version } = runnable.definition;
    if (this.find(name, version) !== undefined) {
      const problem = `its name and the version ${version} are taken by another saga of this process`;
      this.problem(hfError('HF_SAGA_DEFINITION', { saga: name, problem }).message);
      return;
    }
    this.byKey.set(key, runnable);
    this.byVersion.set(keyOf(name, version), runnable);
  }

  /** @throws HF_SAGA_NOT_REGISTERED */
  of(saga: object): RunnableSaga {
    const found = this.byKey.get(saga);
    if (found === undefined)
      throw hfError('HF_SAGA_NOT_REGISTERED', {
        saga: typeof saga === 'function' || saga instanceof SagaBuilder ? sagaName(saga) : printable(saga),
      });
    return found;
  }

  find(name: string, version: number): RunnableSaga | undefined {
    return this.byVersion.get(keyOf(name, version));
  }
}

function keyOf(name: string, version: number): string {
  return `${version} ${name}`;
}
