import type { HoldfastTesting } from '@holdfast/nest/testing';
import { ChargeCard, PlaceOrderSaga, RefundCard } from '../../api/usage/07-saga.js';

/** A charge that nobody answers is refunded. */
export async function refundsWhatNobodyAnswered(testing: HoldfastTesting): Promise<void> {
  await testing
    .saga(PlaceOrderSaga)
    .given({ orderId: 'o-1', total: 20 })
    .expect(new ChargeCard('o-1', 20))
    .silence()
    .expect(new RefundCard('o-1'))
    .reply()
    .ends('compensated');
}
