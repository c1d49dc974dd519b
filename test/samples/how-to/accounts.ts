// docs/how-to/keep-order.md
import { Delivery, Idempotent, Message, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
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

@Entity()
export class Balance {
  @PrimaryColumn() accountId!: string;
  @Column('int') amount!: number;
}

@Injectable()
export class Accounts {
  constructor(@InjectRepository(Balance) private readonly balances: Repository<Balance>) {}

  @OnMessage([AccountCredited, AccountDebited], { name: 'accounts.book', ordering: 'key', onDeadLetter: 'block' })
  @Retry(10)
  @Idempotent()
  @Transactional()
  async book(event: AccountCredited | AccountDebited, delivery: Delivery): Promise<void> {
    const sign = delivery.type === 'account.credited' ? 1 : -1;
    await this.balances.increment({ accountId: event.accountId }, 'amount', sign * event.amount);
  }
}
