// Commands have one owner; a request knows the type of its reply.
import { Controller, Injectable, NotFoundException, Param, Post } from '@nestjs/common';
import { Command, Idempotent, isHoldfastError, Message, MessageBus, NonRetryableError, OnMessage, Transactional } from '@holdfast/nest';
import { DataSource } from 'typeorm';

type ChargeResult = { paymentId: string } | { declined: string };

@Message('card.charge')
export class ChargeCard extends Command<ChargeResult> {
  constructor(
    readonly orderId: string,
    readonly amount: number,
  ) {
    super();
  }
}

@Message('invoice.print')
export class PrintInvoice extends Command {
  constructor(readonly orderId: string) {
    super();
  }
}

@Message('stock.count')
export class CountStock extends Command<number> {
  constructor(readonly sku: string) {
    super();
  }
}

// The owner: what it returns is the reply, and the compiler compares the two.
@Injectable()
export class Cards {
  constructor(private readonly dataSource: DataSource) {}

  @OnMessage(ChargeCard)
  @Idempotent()
  @Transactional()
  async charge(command: ChargeCard): Promise<ChargeResult> {
    if (command.amount > 10_000) return { declined: 'limit' };
    const [payment] = await this.dataSource.query<{ id: string }[]>('insert into payment (order_id, amount) values ($1, $2) returning id', [
      command.orderId,
      command.amount,
    ]);
    if (!payment) throw new NonRetryableError('order is unknown', { details: { orderId: command.orderId } });
    return { paymentId: payment.id };
  }

  @OnMessage(CountStock, { timeout: '2s' })
  count(command: CountStock): number {
    return command.sku.length;
  }

  @OnMessage(PrintInvoice, { name: 'invoices.print', concurrency: 1 })
  async print(command: PrintInvoice): Promise<void> {
    await fetch(`https://printer.example/${command.orderId}`, { method: 'POST' });
  }
}

// The caller.
@Controller('checkout')
export class Checkout {
  constructor(private readonly bus: MessageBus) {}

  @Post(':orderId/pay')
  async pay(@Param('orderId') orderId: string): Promise<string> {
    try {
      const result = await this.bus.request(new ChargeCard(orderId, 990), { timeout: '5s', key: orderId });
      if ('declined' in result) return `declined: ${result.declined}`;
      await this.bus.send(new PrintInvoice(orderId));
      return result.paymentId;
    } catch (error) {
      if (isHoldfastError(error, 'HF_REQUEST_REJECTED')) throw new NotFoundException(error.message);
      throw error;
    }
  }

  @Post('stock/:sku')
  async hasStock(@Param('sku') sku: string): Promise<boolean> {
    return (await this.bus.request(new CountStock(sku))) > 0;
  }
}
