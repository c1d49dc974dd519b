// One decorator, one word per protocol: the half-message part, and the transports as the program has them.
import { Injectable, Module } from '@nestjs/common';
import { InjectDataSource, TypeOrmModule } from '@nestjs/typeorm';
import { HoldfastModule, Message, MessageBus, Transactional } from '@holdfast/nest';
import { kafka } from '@holdfast/transport-kafka';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

@Message('money.moved')
export class MoneyMoved {
  constructor(
    readonly from: string,
    readonly to: string,
    readonly amount: number,
  ) {}
}

@Injectable()
export class Transfers {
  constructor(
    @InjectDataSource() private readonly accounts: DataSource,
    private readonly bus: MessageBus,
  ) {}

  // The broker holds the message until the commit is known; no outbox row is written.
  @Transactional({ protocol: 'half-message' })
  async note(from: string): Promise<void> {
    await this.accounts.query('update account set noted = true where id = $1', [from]);
    await this.bus.publish(new MoneyMoved(from, from, 0));
  }
}

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres' }),
    TypeOrmModule.forRoot({ type: 'postgres', name: 'ledger' }),
    HoldfastModule.forRoot({
      service: 'transfers',
      transports: {
        default: rabbitmq({ url: 'amqp://localhost', publishMode: 'tx' }),
        analytics: kafka({ brokers: ['localhost:9092'], transactionalId: 'transfers-analytics' }),
      },
      store: typeorm({ dataSources: ['default', 'ledger'] }),
    }),
  ],
  providers: [Transfers],
})
export class TransfersModule {}
