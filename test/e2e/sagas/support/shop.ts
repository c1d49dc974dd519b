import { createStoreDatabase, type TestDatabase } from '@holdfast-internal/test-support';
import {
  type Clock,
  Holdfast,
  type Logger,
  Message,
  type SagaContext,
  type SagaInstance,
  type Scheduler,
  silentLogger,
  systemClock,
  systemScheduler,
} from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

/** Of the log. */
const LANES = 4;

/** What the sagas of the tests know. */
export interface Order {
  id: string;
  seen?: string[];
}

@Message('sagas.told')
export class Told {
  constructor(readonly what: string) {}
}

/** How a process is opened. */
export interface OpenOptions {
  readonly service?: string;
  readonly poolSize?: number;
  /** False for a store behind a pooler that keeps no prepared statements. */
  readonly prepare?: boolean;
  /** Instead of the shop's own address. */
  readonly url?: string;
  readonly clock?: Clock;
  readonly scheduler?: Scheduler;
  readonly logger?: Logger;
}

/** A database, and processes on it. */
export interface Shop {
  readonly url: string;
  open(set: (process: ShopProcess) => void, options?: OpenOptions): Promise<ShopProcess>;
  /** Texts that were written, in order. */
  written(): Promise<string[]>;
  look<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

/** One process of the shop. */
export interface ShopProcess {
  readonly bus: Holdfast;
  readonly dataSource: DataSource;
  /** Texts of the messages that were delivered. */
  readonly told: string[];
  /** Writes a row of the business. */
  write(text: string): Promise<void>;
  /** A step that writes its name and publishes it. */
  writing(name: string): (saga: SagaContext<Order>) => Promise<void>;
  close(): Promise<void>;
}

/** @param place its database, instead of one on the server that all tests share */
export async function openShop(place?: Pick<TestDatabase, 'url' | 'drop'>): Promise<Shop> {
  const borrowed = place ?? (await createStoreDatabase(LANES));
  const observer = await new DataSource({ type: 'postgres', url: borrowed.url }).initialize();
  await observer.query('create table written (n bigserial primary key, text text not null)');
  await observer.query('create table veto (n int primary key, other int references veto deferrable initially deferred)');
  const open: ShopProcess[] = [];
  return {
    url: borrowed.url,
    open: async (set, options = {}) => {
      const { poolSize = 10, service = 'shop', url = borrowed.url, prepare = true } = options;
      const { clock = systemClock, scheduler = systemScheduler, logger = silentLogger } = options;
      const dataSource = await new DataSource({ type: 'postgres', url, poolSize }).initialize();
      const bus = new Holdfast(
        { service, transport: database(), store: typeorm({ dataSource, lanes: LANES, prepare }) },
        { logger, clock, scheduler },
      );
      const told: string[] = [];
      const write = async (text: string) => void (await dataSource.query('insert into written (text) values ($1)', [text]));
      const writing = (name: string) => async (saga: SagaContext<Order>) => {
        await write(`${saga.id} ${name}`);
        await bus.bus.publish(new Told(`${saga.id} ${name}`));
        saga.state = { ...saga.state, seen: [...(saga.state.seen ?? []), name] };
      };
      const process: ShopProcess = {
        bus,
        dataSource,
        told,
        write,
        writing,
        close: async () => {
          await bus.stop();
          if (dataSource.isInitialized) await dataSource.destroy();
        },
      };
      open.push(process);
      bus.on(Told, ({ what }) => void told.push(what), { name: 'shop.told', transactional: true });
      set(process);
      await bus.start();
      return process;
    },
    written: async () => ((await observer.query('select text from written order by n')) as { text: string }[]).map(({ text }) => text),
    look: (sql, values) => observer.query(sql, values),
    close: async () => {
      for (const process of open) await process.close();
      await observer.destroy();
      await borrowed.drop();
    },
  };
}

/** The history of an instance, one text a line. */
export function linesOf(instance: SagaInstance | undefined): string[] {
  return (instance?.history ?? []).map(({ step, event }) => (step === undefined ? event : `${step} ${event}`));
}
