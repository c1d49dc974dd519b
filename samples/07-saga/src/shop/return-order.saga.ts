import { Saga, SagaContext, Step } from '@holdfast/nest';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { Account, Order, Shelf } from './entities.js';
import { ParcelReturned } from './parcel-returned.js';

/** What the saga knows: its start, and what came. */
export interface ReturnState {
  orderId: string;
  customer: string;
  total: number;
  returned?: { orderId: string };
}

/** Takes two weeks or more. While it waits it is a row in the database, and nothing in memory. */
@Saga('return-order', { version: 1, signals: [ParcelReturned] })
export class ReturnOrderSaga {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    @InjectRepository(Shelf) private readonly shelves: Repository<Shelf>,
    @InjectRepository(Account) private readonly accounts: Repository<Account>,
  ) {}

  /** Fails for good when the parcel is not back after two weeks: the customer keeps the lamp, and has paid for it. */
  @Step()
  async waitForParcel(saga: SagaContext<ReturnState>) {
    return saga.waitFor(ParcelReturned, { key: saga.state.orderId, timeout: '14d', into: 'returned' });
  }

  @Step({ after: 'waitForParcel' })
  async lookAtIt(saga: SagaContext<ReturnState>) {
    return saga.sleep('3d');
  }

  @Step({ after: 'lookAtIt' })
  async payBack(saga: SagaContext<ReturnState>): Promise<void> {
    const { orderId, customer, total } = saga.state;
    await this.shelves.increment({ article: 'lamp' }, 'pieces', 1);
    await this.accounts.decrement({ owner: 'shop' }, 'balance', total);
    await this.accounts.increment({ owner: customer }, 'balance', total);
    await this.orders.update(orderId, { status: 'returned' });
  }
}
