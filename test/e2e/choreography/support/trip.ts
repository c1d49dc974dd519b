import { createStoreDatabase } from '@holdfast-internal/test-support';
import { Command, type Delivery, Holdfast, type HoldfastOptions, Message, silentLogger } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

/** Of the log. */
const LANES = 4;

@Message('trip.requested')
export class TripRequested {
  constructor(readonly trip: string) {}
}

@Message('hotel.booked')
export class HotelBooked {
  constructor(readonly trip: string) {}
}

@Message('hotel.cancelled')
export class HotelCancelled {
  constructor(readonly trip: string) {}
}

@Message('car.reserve')
export class ReserveCar extends Command<{ plate: string }> {
  constructor(readonly trip: string) {
    super();
  }
}

/** One service with a database of its own, and its processes. */
export interface Service {
  readonly url: string;
  /** A process; `set` adds its handlers. */
  open(set: (process: ServiceProcess) => void): Promise<ServiceProcess>;
  /** Texts its handlers and undoes wrote, in the order of their statements. */
  written(): Promise<string[]>;
  look<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

/** One process of a service. */
export interface ServiceProcess {
  readonly bus: Holdfast;
  /** Writes a row of the business. */
  write(text: string): Promise<void>;
  query(sql: string, values?: unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

/** Opens a service; `transport` makes what carries its messages: without it, its database does. */
export async function openService(
  name: string,
  { transport = database, options = {} }: { transport?: () => HoldfastOptions['transport']; options?: Partial<HoldfastOptions> } = {},
): Promise<Service> {
  const borrowed = await createStoreDatabase(LANES);
  const observer = await new DataSource({ type: 'postgres', url: borrowed.url }).initialize();
  await observer.query('create table written (n bigserial primary key, text text not null)');
  const open: ServiceProcess[] = [];
  return {
    url: borrowed.url,
    open: async (set) => {
      const dataSource = await new DataSource({ type: 'postgres', url: borrowed.url, poolSize: 12 }).initialize();
      const bus = new Holdfast(
        { service: name, transport: transport(), store: typeorm({ dataSource, lanes: LANES }), ...options } as HoldfastOptions,
        { logger: silentLogger },
      );
      let isOpen = true;
      const process: ServiceProcess = {
        bus,
        query: (sql, values) => dataSource.query(sql, values),
        write: async (text) => void (await dataSource.query('insert into written (text) values ($1)', [text])),
        close: async () => {
          if (!isOpen) return;
          isOpen = false;
          await bus.stop();
          await dataSource.destroy();
        },
      };
      open.push(process);
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

/** Policies of a handler that can be undone. */
export function undoneBy<M>(undo: (message: M, delivery: Delivery) => unknown, also: { retry?: number } = {}) {
  return { idempotent: true, transactional: true, compensate: { undo, ...also } } as const;
}
