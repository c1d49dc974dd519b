import { type Duration, MessageBus, Sagas } from '@holdfast/nest';
import type { HoldfastTesting } from '@holdfast/nest/testing';
import type { INestApplicationContext } from '@nestjs/common';
import { ParcelReturned } from './shop/parcel-returned.js';
import { ReturnOrderSaga } from './shop/return-order.saga.js';
import { PRICE } from './totals.js';

const DAY_MS = 86_400_000;

/** Two sagas that wait for days, which pass when the clock of the test kit is told so. */
export class Days {
  private readonly sagas: Sagas;
  private readonly bus: MessageBus;
  private readonly beganAt: Date;

  constructor(
    app: INestApplicationContext,
    private readonly testing: HoldfastTesting,
    private readonly say: (line: string) => void,
  ) {
    this.sagas = app.get(Sagas);
    this.bus = app.get(MessageBus);
    this.beganAt = testing.clock.now();
  }

  /** Ann sends her lamp back and gets her money; Ben forgets it. */
  async play(): Promise<void> {
    this.say('\n4. Ann and Ben may send their lamps back within two weeks. The days pass quickly.');
    await this.sagas.start(ReturnOrderSaga, { orderId: 'o-1', customer: 'ann', total: PRICE }, { id: 'return o-1' });
    await this.sagas.start(ReturnOrderSaga, { orderId: 'o-2', customer: 'ben', total: PRICE }, { id: 'return o-2' });
    await this.passes('4d');
    await this.bus.publish(new ParcelReturned('o-1'), { key: 'o-1' });
    this.say('   Ann has sent it back.');
    await this.passes('4d');
    await this.passes('8d');
  }

  /** Runs everything that is due on the way. */
  private async passes(time: Duration): Promise<void> {
    await this.testing.settled({ timeout: '30s' });
    await this.testing.clock.advance(time);
    await this.testing.settled({ timeout: '30s' });
    const day = Math.floor((this.testing.clock.now().getTime() - this.beganAt.getTime()) / DAY_MS);
    for (const id of ['return o-1', 'return o-2']) {
      const saga = await this.sagas.get(id);
      this.say(`   day ${day}: ${id} is ${saga?.status}${saga?.step === undefined ? '' : ` at ${saga.step}`}`);
    }
  }
}
