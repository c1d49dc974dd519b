import { type RabbitmqOptions, rabbitmq } from '@holdfast/transport-rabbitmq';
import { Shop as AnyShop } from '../../support/shop.js';

export { type Effect, numbers, OrderPlaced, Refund } from '../../support/shop.js';

/** The same over RabbitMQ. */
export class Shop extends AnyShop {
  private broker: RabbitmqOptions | undefined;

  static async open(options: RabbitmqOptions): Promise<Shop> {
    const broker = { heartbeat: '1s', ...options } as const;
    const shop = new Shop(() => rabbitmq(broker), ...(await AnyShop.made()));
    shop.broker = broker;
    return shop;
  }

  /** Name of the queue of its subscription. */
  get queue(): string {
    return `${this.broker?.exchange}/shop/shop.book`;
  }

  /** Name of the queue of its dead letters. */
  get deadLetters(): string {
    return `${this.broker?.exchange}/shop:dead/shop.book`;
  }
}
