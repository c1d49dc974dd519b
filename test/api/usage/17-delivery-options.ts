// The finer points: order, batches, start position, renaming, delays.
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Delivery, Idempotent, Message, MessageBus, OnMessage, Policies, Retry, Transactional } from '@holdfast/nest';
import { Column, Entity, PrimaryColumn, Repository } from 'typeorm';

@Message('account.credited')
export class AccountCredited {
  constructor(
    readonly accountId: string,
    readonly amount: number,
  ) {}
}

@Message('account.debited')
export class AccountDebited {
  constructor(
    readonly accountId: string,
    readonly amount: number,
  ) {}
}

@Message('price.changed')
export class PriceChanged {
  constructor(
    readonly sku: string,
    readonly cents: number,
  ) {}
}

@Message('trial.ended')
export class TrialEnded {
  constructor(readonly accountId: string) {}
}

@Entity()
export class Balance {
  @PrimaryColumn() accountId!: string;
  @Column('int') amount!: number;
}

@Entity()
export class Price {
  @PrimaryColumn() sku!: string;
  @Column('int') cents!: number;
}

// A team's own policy, checked like the three it stands for.
const Reliable = () => Policies(Retry({ attempts: 8, backoff: { delay: '1s', maxDelay: '5m' } }), Idempotent(), Transactional());

@Injectable()
export class Accounts {
  constructor(
    @InjectRepository(Balance) private readonly balances: Repository<Balance>,
    @InjectRepository(Price) private readonly prices: Repository<Price>,
    private readonly bus: MessageBus,
  ) {}

  // One account's messages one after another; a dead letter holds its account back until somebody decides.
  @OnMessage([AccountCredited, AccountDebited], { name: 'accounts.book', ordering: 'key', onDeadLetter: 'block' })
  @Retry({ attempts: 20, backoff: (attempt) => Math.min(attempt * 500, 60_000), retryIf: (error) => !(error instanceof RangeError) })
  @Idempotent()
  @Transactional()
  async book(event: AccountCredited | AccountDebited, delivery: Delivery): Promise<void> {
    const sign = delivery.type === 'account.credited' ? 1 : -1;
    await this.balances.increment({ accountId: event.accountId }, 'amount', sign * event.amount);
  }

  // Up to 200 messages share one commit; called once per message. The old name's backlog comes along.
  @OnMessage(PriceChanged, {
    name: 'prices.project',
    formerly: ['prices.update', 'catalog.prices'],
    from: 'earliest',
    batchSize: 200,
    concurrency: 4,
    timeout: '10s',
  })
  @Idempotent({ ttl: '14d', onExpired: 'handle' })
  @Transactional()
  async project(event: PriceChanged): Promise<void> {
    await this.prices.update(event.sku, { cents: event.cents });
  }

  @OnMessage(TrialEnded, { name: 'accounts.end-trial' })
  @Reliable()
  async endTrial(event: TrialEnded): Promise<void> {
    await this.balances.delete(event.accountId);
  }

  async startTrial(accountId: string, firstOfMonth: Date): Promise<void> {
    await this.bus.publish(new TrialEnded(accountId), { key: accountId, delay: '14d' });
    await this.bus.publish(new TrialEnded(accountId), { key: accountId, at: firstOfMonth, headers: { reason: 'calendar' } });
  }
}
