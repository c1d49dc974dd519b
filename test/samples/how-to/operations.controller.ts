// docs/how-to/operate.md
import { type DeadLetter, DeadLetters, Outbox, type Paged, type SubscriptionInfo, Subscriptions } from '@holdfast/nest';
import { Controller, Get, Headers, Param, Post, Query } from '@nestjs/common';

// Put your own guard in front of it: whoever gets here decides what becomes of messages.
@Controller('operations')
export class OperationsController {
  constructor(
    private readonly deadLetters: DeadLetters,
    private readonly subscriptions: Subscriptions,
    private readonly outbox: Outbox,
  ) {}

  @Get('subscriptions')
  list(): Promise<readonly SubscriptionInfo[]> {
    return this.subscriptions.list();
  }

  @Post('subscriptions/:name/pause')
  async pause(@Param('name') name: string, @Headers('x-user') by: string): Promise<void> {
    await this.subscriptions.pause(name, { by, reason: 'the card gateway is down' });
  }

  @Post('subscriptions/:name/resume')
  async resume(@Param('name') name: string, @Headers('x-user') by: string): Promise<void> {
    await this.subscriptions.resume(name, { by });
  }

  @Get('outbox')
  async log() {
    const { backlog, oldestAgeMs, scheduled, parked } = await this.outbox.stats();
    return { backlog, oldestAgeMs, scheduled, parked };
  }

  @Get('dead-letters')
  letters(@Query('subscription') subscription: string, @Query('cursor') cursor?: string): Promise<Paged<DeadLetter>> {
    return this.deadLetters.list({ subscription, cursor, limit: 50 });
  }

  @Post('dead-letters/:id/redrive')
  redrive(@Param('id') id: string, @Headers('x-user') by: string) {
    return this.deadLetters.redrive(id, { by });
  }
}
