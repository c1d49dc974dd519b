import { test } from 'node:test';
import { transportContract, type TransportSystem } from '@holdfast/core/testing/contracts';
import { IN_MEMORY_CAPABILITIES as CAPABILITIES, inMemory as transport } from '@holdfast/transport-in-memory';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

const address = new URL(process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres');

// A broker and a database of its own for every case: cases run in any order, and leave nothing behind.
async function open(): Promise<TransportSystem> {
  const connect = (name: string) => new DataSource({ type: 'postgres', url: new URL(name, address).href }).initialize();
  const name = `contract_${Math.random().toString(36).slice(2)}`;
  const server = await connect(address.pathname.slice(1));
  await server.query(`create database ${name}`);
  const observer = await connect(name);
  await observer.query('create table written (at serial, text text)');
  await observer.query('create table spoiled (n int primary key, other int references spoiled deferrable initially deferred)');
  return {
    // One process: what it publishes with, stores in, and writes to inside the transaction of a handler.
    async join() {
      const dataSource = await connect(name);
      return {
        transport,
        store: () => typeorm({ dataSource, lanes: 4 }),
        write: (text) => dataSource.query('insert into written (text) values ($1)', [text]),
        spoil: () => dataSource.query('insert into spoiled values (1, 2)'), // is refused at COMMIT
        close: () => dataSource.destroy(),
      };
    },
    async written() {
      const rows: { text: string }[] = await observer.query('select text from written order by at');
      return rows.map(({ text }) => text);
    },
    async drop() {
      await observer.destroy();
      await server.query(`drop database ${name} with (force)`);
      await server.destroy();
    },
  };
}

for (const { name, run } of transportContract(CAPABILITIES)) test(name, () => run({ open }));
