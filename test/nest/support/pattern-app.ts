import { HoldfastModule, type HoldfastOptions, HoldfastStrategy } from '@holdfast/nest';
import { HoldfastTesting } from '@holdfast/nest/testing';
import { inMemory } from '@holdfast/transport-in-memory';
import { typeorm } from '@holdfast/typeorm';
import type { INestApplication, INestMicroservice, Provider, Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { silent } from './recording-engine.js';
import { Charges, orm } from './shop.js';

/** An application with handlers of Nest's own under HoldfastStrategy, on a real database, with a transport in memory and a virtual clock. */
export interface PatternApp {
  readonly app: INestApplication;
  readonly testing: HoldfastTesting;
  /** Rows that handlers wrote. */
  rows(): Promise<readonly string[]>;
}

/** What differs from one test to the next. */
export interface PatternParts {
  readonly controllers: Type[];
  readonly providers?: Provider[];
  readonly holdfast?: Partial<HoldfastOptions>;
  readonly inheritAppConfig?: boolean;
  /** Before the microservice is connected, as in main.ts. */
  readonly configure?: (app: INestApplication) => void;
  readonly connected?: (microservice: INestMicroservice) => void;
  /** False: nobody calls startAllMicroservices. */
  readonly listens?: boolean;
}

/** Made and connected, as in main.ts, and not initialised yet. */
export async function makePatternApp(url: string, { controllers, providers = [], ...parts }: PatternParts): Promise<PatternApp> {
  const holdfast = HoldfastModule.forRoot({
    service: 'shop',
    transport: inMemory(),
    store: typeorm(),
    ...parts.holdfast,
  } as HoldfastOptions);
  const builder = Test.createTestingModule({ imports: [...orm(url), holdfast], controllers, providers: [Charges, ...providers] });
  const module = await HoldfastTesting.inMemory(builder.setLogger(silent)).compile();
  const app = module.createNestApplication();
  parts.configure?.(app);
  const microservice = app.connectMicroservice(
    { strategy: app.get(HoldfastStrategy) },
    { inheritAppConfig: parts.inheritAppConfig ?? true },
  );
  parts.connected?.(microservice);
  const rows = async () => (await app.get(Charges).rows.find()).map(({ orderId }) => orderId).sort();
  return { app, testing: app.get(HoldfastTesting), rows };
}

/** Started, in the order of Nest's documentation. */
export async function startPatternApp(url: string, parts: PatternParts): Promise<PatternApp> {
  const made = await makePatternApp(url, parts);
  if (parts.listens !== false) await made.app.startAllMicroservices();
  await made.app.init();
  return made;
}
