// The other end of a saga's step: charges and refunds, one row of `effect` each. Options in PARTICIPATING_OPTIONS; it dies where HOLDFAST_FAILPOINT says.
import 'reflect-metadata';
import { Command, type HandlerPolicies, Holdfast, Message, NonRetryableError, silentLogger } from '@holdfast/core';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';
import { type Carrier, transportOf } from './carriers.js';

/** What the program is told when it starts. */
export interface ParticipatingOptions extends Carrier {
  readonly url: string;
  readonly isTransactional: boolean;
  /** It refuses every request, after it has written its row. */
  readonly isRefusing?: boolean;
}

@Message('card.charge')
class ChargeCard extends Command<{ paid: boolean }> {
  orderId!: string;
}

@Message('card.refund')
class RefundCard extends Command {
  orderId!: string;
}

async function main(): Promise<void> {
  const options = JSON.parse(process.env.PARTICIPATING_OPTIONS ?? '{}') as ParticipatingOptions;
  const { url, isTransactional, isRefusing } = options;
  const dataSource = await new DataSource({ type: 'postgres', url }).initialize();
  const transport = await transportOf(options);
  const bus = new Holdfast({ service: 'cards', transport, store: typeorm({ dataSource, lanes: 2 }) }, { logger: silentLogger });
  const effect = (what: string) => dataSource.query('insert into effect (subscription, message_id) values ($1, $2)', [what, 'r']);
  const policies = { transactional: isTransactional, idempotent: { lockTtl: '1s' } } as const;
  bus.on(
    ChargeCard,
    async () => {
      await effect('charge');
      if (isRefusing) throw new NonRetryableError('not enough money');
      return { paid: true };
    },
    { name: 'charge', ...policies } as HandlerPolicies<ChargeCard>,
  );
  bus.on(RefundCard, () => effect('refund'), { name: 'refund', compensates: ChargeCard, ...policies } as HandlerPolicies<RefundCard>);
  await bus.start();
  process.stdin.on('end', () => process.exit(3)).resume();
  process.stdout.write('ready\n');
}

if (process.env.PARTICIPATING_OPTIONS !== undefined) void main();
