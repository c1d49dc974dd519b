// docs/how-to/call-other-systems.md
import { Idempotent, Retry } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';

@Injectable()
export class Payouts {
  /** A double click pays once; the second call gets the result of the first. */
  @Idempotent({ key: (requestId: string) => requestId, ttl: '30d' })
  @Retry({ attempts: 3, backoff: { delay: '100ms' } })
  async pay(requestId: string, amount: number): Promise<{ payoutId: string }> {
    return { payoutId: `${requestId}-${amount}` };
  }
}
