import { type DeadLetter, Holdfast, type HoldfastOptions, type Logger, Message, silentLogger, type StandardSchema } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { borrowTestDatabase, PATIENCE_MS } from '@holdfast-internal/test-support';
import { DataSource } from 'typeorm';

/** Takes what has a positive total, and says what is wrong otherwise. */
const schema: StandardSchema<{ orderId: string; total: number }> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value: unknown) => {
      const { orderId, total } = value as { orderId?: unknown; total?: unknown };
      const issues = [
        ...(typeof orderId === 'string' ? [] : [{ message: 'must be a text', path: ['orderId'] }]),
        ...(typeof total === 'number' && total > 0 ? [] : [{ message: 'must be above 0', path: ['total'] }]),
      ];
      return issues.length > 0 ? { issues } : { value: value as { orderId: string; total: number } };
    },
  },
};

@Message('shop.order-placed', { version: 2, schema, upcast: { 1: (data: { id: string }) => ({ orderId: data.id, total: 1 }) } })
export class OrderPlaced {
  constructor(
    readonly orderId: string,
    readonly total: number,
  ) {}
}

/** A database, its DataSource, and whatever buses a test starts on it. */
export interface Scene {
  readonly dataSource: DataSource;
  bus(options?: Partial<HoldfastOptions>, logger?: Logger): Holdfast;
  look<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

/** What a scene may have that others have not. */
interface SceneOptions {
  readonly poolSize?: number;
  /** Opens a way to the server of a URL, which its DataSource goes. */
  readonly way?: (url: string) => Promise<string>;
}

export async function openScene({ poolSize = 10, way = async (url) => url }: SceneOptions = {}): Promise<Scene> {
  const testDatabase = await borrowTestDatabase();
  const dataSource = await new DataSource({ type: 'postgres', url: await way(testDatabase.url), poolSize }).initialize();
  const started: Holdfast[] = [];
  return {
    dataSource,
    bus(options, logger = silentLogger) {
      const all = { service: 'shop', transport: database(), store: typeorm({ dataSource, lanes: 2 }), ...options } as HoldfastOptions;
      const bus = new Holdfast(all, { logger });
      started.push(bus);
      return bus;
    },
    look: (sql, values) => dataSource.query(sql, values),
    async close() {
      for (const bus of started) await bus.stop().catch(() => undefined);
      await dataSource.destroy();
      await testDatabase.drop();
    },
  };
}

/** The message of what `work` throws; fails when it throws nothing. */
export async function sentenceOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return `${code}: ${message}`;
  }
  throw new Error('nothing was refused');
}

/** Waits for something that comes about by itself. */
export async function eventually<T>(look: () => Promise<T | undefined>, patienceMs = PATIENCE_MS): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`it did not come about within ${patienceMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** All dead letters of a bus, the latest first. */
export async function letters(bus: Holdfast): Promise<readonly DeadLetter[]> {
  return (await bus.deadLetters.list({ limit: 1000 })).items;
}
