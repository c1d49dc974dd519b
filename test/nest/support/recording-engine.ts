import { type AsyncMethod, Holdfast, hfError, type HoldfastOptions, type MethodPolicies, type TryDefinition } from '@holdfast/core';
import { planOfInstance } from '../../../packages/core/src/saga/saga-class.js';
import { runnableTry } from '../../../packages/core/src/try-confirm-cancel/try-definition.js';
import { HoldfastModule } from '@holdfast/nest';
import type { ModuleMetadata } from '@nestjs/common';
import { Test, type TestingModule, type TestingModuleBuilder } from '@nestjs/testing';

/** A subscription as the engine was told of it. */
export interface RecordedSubscription {
  readonly types: readonly unknown[];
  readonly handler: (message: unknown, delivery: unknown) => Promise<unknown>;
  readonly policies: Record<string, unknown>;
}

/** Stands in for the engine: writes down what it is told, and what runs in which order. */
export class RecordingEngine {
  readonly subscriptions: RecordedSubscription[] = [];
  readonly guarded: string[] = [];
  readonly problems: string[] = [];
  /** What happened, in order. */
  readonly transcript: string[] = [];
  readonly bus = {};
  readonly sagas = {};
  readonly branches = {};
  readonly tries = new Map<string, TryDefinition>();
  readonly unitOfWork = {};
  readonly deadLetters = {};
  readonly outbox = {};

  on(types: readonly unknown[], handler: RecordedSubscription['handler'], policies: Record<string, unknown>): this {
    this.subscriptions.push({ types, handler, policies });
    return this;
  }

  guard(name: string, policies: MethodPolicies, method: AsyncMethod): AsyncMethod {
    this.guarded.push(name);
    const { transcript } = this;
    const layers = (['retry', 'idempotent', 'transactional'] as const).filter((layer) => policies[layer] !== undefined);
    return async function (this: unknown, ...args: never[]) {
      for (const layer of layers) transcript.push(`${layer}(${JSON.stringify(policies[layer])})`);
      return method.apply(this, args);
    };
  }

  saga(instance: object): this {
    planOfInstance(instance, (text) => this.problem(text));
    this.transcript.push(`saga ${instance.constructor.name}`);
    return this;
  }

  tryConfirmCancel(definition: TryDefinition): AsyncMethod {
    const { transcript } = this;
    runnableTry(definition, (text) => this.problem(text), ['default', 'ledger']);
    this.tries.set(definition.name, definition);
    transcript.push(`try ${definition.name}`);
    return async function (this: unknown, ...args: never[]) {
      transcript.push(`call ${definition.name}`);
      return (definition.method as AsyncMethod).apply(this, args);
    };
  }

  hold(name: string): this {
    this.transcript.push(`hold ${name}`);
    return this;
  }

  async release(): Promise<void> {
    this.transcript.push('release');
  }

  problem(text: string): void {
    this.problems.push(text);
  }

  async open(): Promise<void> {}

  async start(): Promise<void> {
    if (this.problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems: this.problems });
    this.transcript.push('start');
  }

  /** The end of deliveries is what the modules around it see; units of work end with `stop`. */
  async drain(): Promise<void> {
    this.transcript.push('stop');
  }

  async stop(): Promise<void> {}
}

/** Options that are never looked at by a RecordingEngine. */
export const anyOptions = { service: 'test' } as HoldfastOptions;

/** An application whose engine only writes down. */
export interface RecordingApp {
  readonly app: TestingModule;
  readonly engine: RecordingEngine;
}

/** Makes such an application and runs its hooks; the module is registered unless the imports say otherwise. */
export async function recordingApp(
  metadata: ModuleMetadata,
  customise = (builder: TestingModuleBuilder) => builder,
): Promise<RecordingApp> {
  const engine = new RecordingEngine();
  const imports = metadata.imports ?? [HoldfastModule.forRoot(anyOptions)];
  const builder = Test.createTestingModule({ ...metadata, imports })
    .setLogger(silent)
    .overrideProvider(Holdfast)
    .useFactory({
      inject: [Symbol.for('holdfast.nest.host')],
      factory: (host: { attach(engine: unknown): void }) => {
        host.attach(engine);
        return engine;
      },
    });
  const app = await customise(builder).compile();
  await app.init();
  return { app, engine };
}

/** Logs nothing: what is logged in these tests is what they provoke. */
export const silent = { log() {}, warn() {}, error() {} };

/** What the start was refused with; fails when it was not. */
export async function problemsOf(start: Promise<unknown>): Promise<string[]> {
  const error = await start.then(
    () => {
      throw new Error('it started');
    },
    (reason: unknown) => reason as { details?: { problems?: string[] } },
  );
  if (!error.details?.problems) throw error;
  return [...error.details.problems];
}
