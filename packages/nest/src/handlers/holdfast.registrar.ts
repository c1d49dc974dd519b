import { describeMessage, type Handler, type HandlerPolicies, Holdfast, hfError, type MessageClass } from '@holdfast/core';
import { Inject, Injectable } from '@nestjs/common';
import { PatternRegistrar } from '../microservices/pattern.registrar.js';
import { bindHost } from '../policies/method-wrapper.js';
import { HOLDFAST_HOST, MethodHost } from '../policies/method-host.js';
import { compensationOf, declareUndo } from './compensation.js';
import { foreignDecorators } from './foreign-decorators.js';
import { HandlerContext } from './handler-context.js';
import { type DiscoveredClass, HoldfastExplorer } from './holdfast.explorer.js';
import { type ClassMethod, HoldfastMetadataAccessor } from './holdfast-metadata.accessor.js';
import { parameterDecorators } from './parameter-decorators.js';
import { twinParameter } from './parameter-type.js';
import { problemsOf } from './problems.js';
import { SagaRegistrar } from './saga.registrar.js';
import { TryRegistrar } from './try.registrar.js';

/** Says when: brings what the explorer found to the engine, and what is wrong with it to the list of problems. */
@Injectable()
export class HoldfastRegistrar {
  constructor(
    @Inject(Holdfast) private readonly holdfast: Holdfast,
    @Inject(HOLDFAST_HOST) private readonly host: MethodHost,
    @Inject(HoldfastExplorer) private readonly explorer: HoldfastExplorer,
    @Inject(HoldfastMetadataAccessor) private readonly accessor: HoldfastMetadataAccessor,
    @Inject(HandlerContext) private readonly context: HandlerContext,
    @Inject(PatternRegistrar) private readonly patterns: PatternRegistrar,
    @Inject(SagaRegistrar) private readonly sagas: SagaRegistrar,
    @Inject(TryRegistrar) private readonly tries: TryRegistrar,
  ) {}

  /** Gives instances that Nest did not make (factories, values) the host their decorated methods need. */
  bindInstances(): void {
    for (const { prototype, instances } of this.explorer.explore()) {
      for (const instance of instances) {
        if (!bindHost(instance, this.host))
          this.report([
            `an instance of ${prototype.constructor.name} is shared with another application of this process: make one for each`,
          ]);
      }
    }
  }

  /** Registers handlers and decorated methods; before the engine starts. */
  async register(): Promise<void> {
    const found = this.explorer.explore();
    this.report(duplicates(found));
    this.report(this.explorer.outOfSight(found));
    const names = new Map<string, string[]>();
    // First, because methods that are handlers are prepared in another way.
    this.report(this.patterns.register(found, names));
    for (const one of found) {
      for (const method of one.methods) this.report(foreignDecorators(method.target, this.accessor.metadataKeys(method)));
      this.report(this.sagas.register(one));
      this.report(undoingNothing(one));
      for (const method of one.handlers) this.report(declareUndo(this.host, { found: one, method }));
      const tries = this.tries.register(one);
      // What is wrong with a try has been told once then.
      this.report(tries.length > 0 ? tries : this.host.prepare(one.prototype));
      for (const method of one.handlers) await this.registerHandler(one, method, names);
    }
    for (const [name, handlers] of names)
      if (handlers.length > 1) this.report([hfError('HF_SUBSCRIPTION_DUPLICATE', { name, handlers: `${handlers.join(' and ')}.` })]);
  }

  private async registerHandler(found: DiscoveredClass, method: ClassMethod, names: Map<string, string[]>): Promise<void> {
    const types = this.accessor.types(method);
    try {
      const twin = twinParameter(method.target, types, this.accessor.parameterTypes(method)?.[0]);
      if (twin) this.report([twin]);
      this.report(parameterDecorators(method, this.accessor.metadataKeys(method)));
      const compensate = await compensationOf(this.context, { found, method });
      const policies = { ...policiesOf(method, types), ...(compensate && { compensate }) };
      const handlers = names.get(policies.name) ?? [];
      names.set(policies.name, [...handlers, method.target]);
      if (handlers.length === 0) this.holdfast.on(types, (await this.context.functionOf(found, method)) as Handler<object>, policies);
    } catch (error) {
      this.report([`${method.target}: ${problemsOf(error).join('; ')}`]);
    }
  }

  private report(errors: readonly unknown[]): void {
    for (const problem of errors.flatMap(problemsOf)) this.holdfast.problem(problem);
  }
}

function policiesOf({ metadata }: ClassMethod, types: readonly MessageClass[]): HandlerPolicies<object> {
  const { retry, idempotent, transactional, subscription, compensates } = metadata;
  const options = subscription?.options;
  const name = options?.name ?? describeMessage(types[0] as MessageClass).type;
  return { ...options, name, retry, idempotent, transactional, compensates } as HandlerPolicies<object>;
}

/** What undoes requests is asked to by a message. */
function undoingNothing({ methods }: DiscoveredClass): readonly string[] {
  const misplaced = methods.filter(({ metadata }) => metadata.compensates !== undefined && metadata.subscription === undefined);
  return misplaced.map(
    ({ target, metadata }) =>
      `${target}: @Compensate(${metadata.compensates?.name}) is about what @OnMessage brings, and it is no such handler: add @OnMessage`,
  );
}

/** Two classes of one name: what their methods remember would be taken for the same. */
function duplicates(found: readonly DiscoveredClass[]): readonly string[] {
  const remembering = found.filter(({ methods }) =>
    methods.some(({ metadata }) => metadata.idempotent && !metadata.subscription && !metadata.durable),
  );
  const names = remembering.map(({ prototype }) => prototype.constructor.name);
  const twice = new Set(names.filter((name, index) => names.indexOf(name) !== index));
  return [...twice].map(
    (name) => `two classes named ${name} have @Idempotent methods, and what they remember is kept by the name: rename one of them`,
  );
}
