import { type Delivery, Idempotent, Message, MessageBus, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { Inject, Injectable } from '@nestjs/common';
import { InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import { Column, Entity, PrimaryColumn, Repository } from 'typeorm';

@Message('shop.order-placed')
export class OrderPlaced {
  constructor(readonly orderId: string) {}
}

@Entity()
export class ShopOrder {
  @PrimaryColumn() id!: string;
}

@Entity()
export class Charge {
  @PrimaryColumn() orderId!: string;
  @Column() attempt!: number;
}

/** Writes a row and publishes, together. */
@Injectable()
export class Orders {
  constructor(
    @InjectRepository(ShopOrder) readonly rows: Repository<ShopOrder>,
    @Inject(MessageBus) readonly bus: MessageBus,
  ) {}

  @Transactional()
  async place(id: string, fail = false): Promise<void> {
    await this.rows.insert({ id });
    await this.bus.publish(new OrderPlaced(id), { key: id });
    if (fail) throw new Error('changed its mind');
  }
}

/** Writes a row for each order, once. */
@Injectable()
export class Charges {
  constructor(@InjectRepository(Charge) readonly rows: Repository<Charge>) {}

  @OnMessage(OrderPlaced, { name: 'charges.book', from: 'earliest' })
  @Retry(3)
  @Idempotent()
  @Transactional()
  async book(event: OrderPlaced, { attempt }: Delivery): Promise<void> {
    await this.rows.insert({ orderId: event.orderId, attempt });
  }
}

/** TypeORM on a database; each application has a pool of its own. */
export function orm(url: string) {
  return [
    TypeOrmModule.forRoot({ type: 'postgres', url, entities: [ShopOrder, Charge], synchronize: true, poolSize: 8 }),
    TypeOrmModule.forFeature([ShopOrder, Charge]),
  ];
}
