import { Durable, type HoldfastContext, Idempotent, Retry, Transactional } from '@holdfast/nest';
import { Controller } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { Charge } from './charge.entity.js';

@Controller()
export class BillingController {
  /** Most attempts that one message took. */
  mostAttempts = 0;

  constructor(@InjectRepository(Charge) private readonly charges: Repository<Charge>) {}

  @EventPattern<string>('order.placed')
  @Durable({ name: 'billing.charge' })
  @Retry({ attempts: 5, backoff: { delay: '50ms' } })
  @Idempotent()
  @Transactional()
  async charge(@Payload() order: { orderId: string; amount: number }, @Ctx() context: HoldfastContext): Promise<void> {
    const { attempt } = context.getDelivery();
    this.mostAttempts = Math.max(this.mostAttempts, attempt);
    await this.charges.insert(order);
    if (order.orderId.endsWith('3') && attempt < 3) throw new Error('the ledger is locked');
  }
}
