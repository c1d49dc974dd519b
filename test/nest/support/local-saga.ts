// An orchestrated saga of local steps: what each writes commits with the saga's progress, a pivot, and an undo for what can be undone.
import { Injectable, Module } from '@nestjs/common';
import { InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import { Compensate, NonRetryableError, Retry, Saga, SagaContext, Sagas, Step, Transactional } from '@holdfast/nest';
import { Column, Entity, PrimaryColumn, Repository } from 'typeorm';

@Entity()
export class Order {
  @PrimaryColumn() id!: string;
  @Column('int') total!: number;
  @Column() status!: 'new' | 'reserved' | 'cancelled' | 'shipped' | 'closed';
}

@Entity()
export class Account {
  @PrimaryColumn() id!: string;
  @Column('int') balance!: number;
}

// What is known at the start is required; what the steps find out is optional.
export interface OrderState {
  orderId: string;
  customer: string;
  total: number;
  tracking?: string;
}

@Saga('place-order', { version: 1, timeout: '7d' })
export class PlaceOrderSaga {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    @InjectRepository(Account) private readonly accounts: Repository<Account>,
  ) {}

  // Its rows commit together with the saga's progress.
  @Step()
  @Compensate('releaseStock')
  async reserveStock(saga: SagaContext<OrderState>): Promise<void> {
    await this.orders.update(saga.state.orderId, { status: 'reserved' });
  }

  async releaseStock(saga: SagaContext<OrderState>): Promise<void> {
    await this.orders.update(saga.state.orderId, { status: 'cancelled' });
  }

  @Step({ after: 'reserveStock', timeout: '30s' })
  @Compensate('refund')
  @Retry(3)
  async charge(saga: SagaContext<OrderState>): Promise<void> {
    const account = await this.accounts.findOneByOrFail({ id: saga.state.customer });
    if (account.balance < saga.state.total) throw new NonRetryableError('not enough money');
    await this.accounts.decrement({ id: account.id }, 'balance', saga.state.total);
  }

  @Retry({ attempts: 10, backoff: { delay: '1s', maxDelay: '10m' } })
  async refund(saga: SagaContext<OrderState>): Promise<void> {
    await this.accounts.increment({ id: saga.state.customer }, 'balance', saga.state.total);
  }

  // No way back after this.
  @Step({ after: 'charge', pivot: true })
  async ship(saga: SagaContext<OrderState>): Promise<void> {
    saga.state.tracking = `T-${saga.state.orderId}`;
    await this.orders.update(saga.state.orderId, { status: 'shipped' });
  }

  @Step({ after: 'ship' })
  async close(saga: SagaContext<OrderState>): Promise<void> {
    await this.orders.update(saga.state.orderId, { status: 'closed' });
  }
}

@Injectable()
export class Checkout {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly sagas: Sagas,
  ) {}

  // The order and its saga exist together, or neither; a double click starts one saga.
  @Transactional()
  async place(orderId: string, customer: string, total: number) {
    await this.orders.createQueryBuilder().insert().values({ id: orderId, total, status: 'new' }).orIgnore().execute();
    const { id } = await this.sagas.start(PlaceOrderSaga, { orderId, customer, total }, { id: orderId });
    return id;
  }

  async placeAndWait(orderId: string, customer: string, total: number): Promise<string> {
    const id = await this.place(orderId, customer, total);
    const outcome = await this.sagas.result(id, { timeout: '10s' });
    switch (outcome.status) {
      case 'completed':
        return `on its way: ${outcome.state.tracking}`;
      case 'compensated':
        return `cancelled at ${outcome.failure.step}: ${outcome.failure.message}`;
      case 'parked':
        return 'we are looking into it';
    }
  }
}

@Module({ imports: [TypeOrmModule.forFeature([Order, Account])], providers: [PlaceOrderSaga, Checkout], exports: [Checkout] })
export class CheckoutModule {}
