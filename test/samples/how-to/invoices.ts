// docs/how-to/call-other-systems.md
import { Delivery, Idempotent, Message, MessageBus, NonRetryableError, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Column, Entity, PrimaryColumn, Repository } from 'typeorm';

@Message('order.shipped')
export class OrderShipped {
  constructor(
    readonly orderId: string,
    readonly amount: number,
  ) {}
}

@Message('invoice.sent')
export class InvoiceSent {
  constructor(readonly orderId: string) {}
}

@Entity()
export class Invoice {
  @PrimaryColumn() id!: string;
  @Column() orderId!: string;
}

@Injectable()
export class InvoiceApi {
  async create(amount: number, delivery: Pick<Delivery, 'idempotencyKey' | 'signal'>): Promise<string> {
    const response = await fetch('https://invoices.example/invoices', {
      method: 'POST',
      headers: { 'idempotency-key': delivery.idempotencyKey },
      body: JSON.stringify({ amount }),
      signal: delivery.signal,
    });
    if (response.status === 422) throw new NonRetryableError('the invoice was refused');
    if (!response.ok) throw new Error(`the invoice API answered ${response.status}`);
    return ((await response.json()) as { id: string }).id;
  }
}

@Injectable()
export class Invoices {
  constructor(
    @InjectRepository(Invoice) private readonly invoices: Repository<Invoice>,
    private readonly api: InvoiceApi,
    private readonly bus: MessageBus,
  ) {}

  /** Its row and its message commit together; a database connection is held while the API answers. */
  @OnMessage(OrderShipped, { name: 'invoices.create', timeout: '10s' })
  @Retry({ attempts: 8, backoff: { delay: '1s', maxDelay: '5m' } })
  @Idempotent()
  @Transactional()
  async create(order: OrderShipped, delivery: Delivery): Promise<void> {
    const id = await this.api.create(order.amount, delivery);
    await this.invoices.insert({ id, orderId: order.orderId });
    await this.bus.publish(new InvoiceSent(order.orderId), { key: order.orderId });
  }
}

@Injectable()
export class Reminders {
  constructor(private readonly api: InvoiceApi) {}

  /** No transaction: nothing of the database is held while the API answers. */
  @OnMessage(OrderShipped, { name: 'reminders.announce', timeout: '1m' })
  @Retry(8)
  @Idempotent()
  async announce(order: OrderShipped, delivery: Delivery): Promise<void> {
    await this.api.create(order.amount, delivery);
  }
}
