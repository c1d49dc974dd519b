// docs/how-to/schemas-and-versions.md
import { Idempotent, Message, OnMessage } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { z } from 'zod';

const orderPlaced = z.object({
  orderId: z.string(),
  lines: z.array(z.object({ sku: z.string(), amount: z.int().positive() })).nonempty(),
  placedAt: z.coerce.date(),
});

interface OrderPlacedV1 {
  orderId: string;
  skus: string[];
}

@Message('shop.order.placed', {
  version: 2,
  schema: orderPlaced,
  upcast: {
    1: ({ orderId, skus }: OrderPlacedV1) => ({
      orderId,
      lines: skus.map((sku) => ({ sku, amount: 1 })),
      placedAt: new Date(0), // version 1 did not say
    }),
  },
})
export class OrderPlaced {
  readonly orderId!: string;
  readonly lines!: { sku: string; amount: number }[];
  readonly placedAt!: Date;

  constructor(data: z.output<typeof orderPlaced>) {
    Object.assign(this, data);
  }

  pieces(): number {
    return this.lines.reduce((sum, { amount }) => sum + amount, 0);
  }
}

@Injectable()
export class Warehouse {
  @OnMessage(OrderPlaced, { name: 'warehouse.pick' })
  @Idempotent()
  async pick(order: OrderPlaced): Promise<void> {
    console.log(`${order.pieces()} pieces, ordered ${order.placedAt.toISOString()}`);
  }
}
