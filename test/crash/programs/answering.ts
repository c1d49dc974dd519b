// A service that answers: handles one command, writes one row of `effect` per call, and dies where it is told to, once per request. Options in
// ANSWERING_OPTIONS.
import 'reflect-metadata';
import { armFailpoint, Command, type FailpointName, Holdfast, Message, silentLogger } from '@holdfast/core';
import { typeorm } from '@holdfast/typeorm';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { transportOf } from './carriers.js';

/** What the program is told when it starts. */
export interface AnsweringOptions {
  readonly url: string;
  /** Undefined: over the database. */
  readonly broker?: { readonly url: string; readonly exchange: string };
  readonly isTransactional: boolean;
}

/** Asks for a number, which is the same only when it was drawn once. */
@Message('crash.draw')
export class Draw extends Command<{ n: number }> {
  constructor(
    /** Where the process dies of this request, the first time. */
    readonly dieAt: FailpointName,
  ) {
    super();
  }
}

async function main(): Promise<void> {
  const { url, broker, isTransactional } = JSON.parse(process.env.ANSWERING_OPTIONS ?? '{}') as AnsweringOptions;
  const dataSource = await new DataSource({ type: 'postgres', url }).initialize();
  // Past the unit of work: who has died once stays known.
  const client = new Client({ connectionString: url });
  await client.connect();
  const transport = await transportOf({ url, broker });
  const bus = new Holdfast({ service: 'answering', transport, store: typeorm({ dataSource, lanes: 2 }) }, { logger: silentLogger });
  const draw = async ({ dieAt }: Draw, { id }: { readonly id: string }): Promise<{ n: number }> => {
    const { rowCount } = await client.query('insert into victim values ($1) on conflict do nothing', [id]);
    const [{ n }] = (await dataSource.query('insert into effect (subscription, message_id) values ($1, $2) returning n', ['draw', id])) as [
      { n: string },
    ];
    if (rowCount === 1) armFailpoint(dieAt, 'kill');
    return { n: Number(n) };
  };
  bus.on(Draw, draw, { name: 'draw', transactional: isTransactional, idempotent: { lockTtl: '1s' } });
  await bus.start();
  process.on('SIGTERM', () => void bus.stop().then(() => process.exit(0)));
  process.stdin.on('end', () => process.exit(3)).resume();
  process.stdout.write('ready\n');
}

if (process.env.ANSWERING_OPTIONS !== undefined) void main();
