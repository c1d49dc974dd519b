import { Compensate, NonRetryableError, Retry, Saga, SagaContext, Step } from '@holdfast/nest';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { BadDays } from './bad-days.js';
import { Account, Order, Shelf } from './entities.js';

/** What the saga knows: its start, and what the steps find out. */
export interface OrderState {
  orderId: string;
  customer: string;
  total: number;
  parcel?: string;
}

@Saga('place-order', { version: 1 })
export class PlaceOrderSaga {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    @InjectRepository(Shelf) private readonly shelves: Repository<Shelf>,
    @InjectRepository(Account) private readonly accounts: Repository<Account>,
    private readonly badDays: BadDays,
  ) {}

  @Step()
  @Compensate('putBack')
  async takeFromShelf(_saga: SagaContext<OrderState>): Promise<void> {
    const taken = await this.shelves
      .createQueryBuilder()
      .update()
      .set({ pieces: () => 'pieces - 1' })
      .where('article = :article and pieces > 0', { article: 'lamp' })
      .execute();
    if (taken.affected === 0) throw new NonRetryableError('sold out');
  }

  async putBack(saga: SagaContext<OrderState>): Promise<void> {
    await this.shelves.increment({ article: 'lamp' }, 'pieces', 1);
    await this.orders.update(saga.state.orderId, { status: 'cancelled' });
  }

  @Step({ after: 'takeFromShelf' })
  @Compensate('refund')
  async charge(saga: SagaContext<OrderState>): Promise<void> {
    const { customer, total } = saga.state;
    const account = await this.accounts.findOneByOrFail({ owner: customer });
    if (account.balance < total) throw new NonRetryableError('not enough money');
    await this.accounts.decrement({ owner: customer }, 'balance', total);
    await this.accounts.increment({ owner: 'shop' }, 'balance', total);
  }

  /** Tried three times; then the saga parks, and a person looks at it. */
  @Retry({ attempts: 3, backoff: { delay: '50ms' } })
  async refund(saga: SagaContext<OrderState>): Promise<void> {
    if (this.badDays.isBankClosed) throw new Error('the bank is closed');
    const { customer, total } = saga.state;
    await this.accounts.decrement({ owner: 'shop' }, 'balance', total);
    await this.accounts.increment({ owner: customer }, 'balance', total);
  }

  /** The parcel is out of the house: there is no way back after this. */
  @Step({ after: 'charge', pivot: true })
  @Retry({ attempts: 2, backoff: { delay: '50ms' } })
  async ship(saga: SagaContext<OrderState>): Promise<void> {
    if (this.badDays.isVanBroken) throw new Error('the van is broken');
    saga.state.parcel = `parcel of ${saga.state.orderId}`;
    await this.orders.update(saga.state.orderId, { status: 'shipped' });
  }
}
