import { createStoreDatabase } from '@holdfast-internal/test-support';
import { Command, type Delivery, type HandlerPolicies, Holdfast, Message, silentLogger, type TransportFactory } from '@holdfast/core';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';
import { SagaMessages } from './saga-messages.js';

/** Of the log. */
const LANES = 2;

@Message('card.charge')
export class ChargeCard extends Command<{ paid: string }> {
  constructor(readonly orderId: string) {
    super();
  }
}

@Message('card.refund')
export class RefundCard extends Command {
  constructor(readonly orderId: string) {
    super();
  }
}

/** How the handlers of a process are made. */
export interface Handling {
  readonly isTransactional?: boolean;
  /** False: no @Idempotent, and nothing that undoes. */
  readonly isRemembering?: boolean;
  /** Names and policies other than the usual. */
  readonly charge?: Partial<HandlerPolicies<ChargeCard>> & { readonly name?: string };
  readonly refund?: Partial<HandlerPolicies<RefundCard>>;
  /** Called in the handler of the request, after its row is written. */
  readonly charging?: (delivery: Delivery) => unknown;
  readonly refunding?: (delivery: Delivery) => unknown;
}

/** The service at the other end of a saga's steps, with a database; the saga is played by whoever tests. */
export class Participant extends SagaMessages {
  private readonly buses: Holdfast[] = [];

  private constructor(
    readonly source: DataSource,
    private readonly transport: () => TransportFactory,
    private readonly drop: () => Promise<void>,
  ) {
    super((sql, values) => source.query(sql, values));
  }

  static async over(transport: () => TransportFactory): Promise<Participant> {
    const { url, drop } = await createStoreDatabase(LANES);
    const source = await new DataSource({ type: 'postgres', url, poolSize: 14 }).initialize();
    await source.query('create table effect (n bigserial primary key, what text not null)');
    return new Participant(source, transport, drop);
  }

  /** Starts a process; handlers outside a transaction write past the bus, as a card provider does. */
  async start({
    isTransactional = true,
    isRemembering = true,
    charge = {},
    refund = {},
    charging,
    refunding,
  }: Handling = {}): Promise<Holdfast> {
    const bus = new Holdfast(
      { service: 'cards', transport: this.transport(), store: typeorm({ dataSource: this.source, lanes: LANES }) },
      { logger: silentLogger },
    );
    const policies = {
      transactional: isTransactional,
      idempotent: isRemembering,
      retry: { attempts: 3, backoff: { delay: '20ms' } },
    } as const;
    bus.on(
      ChargeCard,
      async ({ orderId }, delivery) => {
        await this.source.query('insert into effect (what) values ($1)', [`charge ${orderId}`]);
        await charging?.(delivery);
        return { paid: orderId };
      },
      { name: 'cards.charge', ...policies, ...charge } as HandlerPolicies<ChargeCard>,
    );
    bus.on(
      RefundCard,
      async ({ orderId }, delivery) => {
        await this.source.query('insert into effect (what) values ($1)', [`refund ${orderId}`]);
        await refunding?.(delivery);
      },
      {
        name: 'cards.refund',
        ...(isRemembering ? { compensates: ChargeCard } : {}),
        ...policies,
        ...refund,
      } as HandlerPolicies<RefundCard>,
    );
    await bus.start();
    this.buses.push(bus);
    return bus;
  }

  async stop(bus: Holdfast): Promise<void> {
    this.buses.splice(this.buses.indexOf(bus), 1);
    await bus.stop({ timeout: '5s' });
  }

  /** What was charged and refunded, in order. */
  async effects(): Promise<string[]> {
    return ((await this.source.query('select what from effect order by n')) as { what: string }[]).map(({ what }) => what);
  }

  /** What is remembered of the request: its status, or that its undoing has not ended. */
  async memory(id = 'r'): Promise<string | undefined> {
    const rows = await this.source.query(
      `select case when i.status = 'compensated' and i.owner_token is not null then 'undoing' else i.status end as status from holdfast_inbox i join holdfast_subscription s on s.id = i.subscription_id where s.name like 'cards.charge%' and i.message_id = $1`,
      [id],
    );
    return (rows as { status: string }[])[0]?.status;
  }

  /** As time does it: what is remembered is past its time, and trimmed. */
  async forget(): Promise<void> {
    await this.source.query('delete from holdfast_inbox');
  }

  /** Stored deliveries by their state. */
  async stored(subscription = 'cards.charge'): Promise<string[]> {
    const rows = await this.source.query(
      `select d.state from holdfast_delivery d join holdfast_subscription s on s.id = d.subscription_id where s.name = $1 order by d.id`,
      [subscription],
    );
    return (rows as { state: string }[]).map(({ state }) => state);
  }

  async close(): Promise<void> {
    for (const bus of [...this.buses]) await this.stop(bus);
    await this.source.destroy();
    await this.drop();
  }
}

/** A door that somebody opens. */
export class Door {
  readonly opened: Promise<void>;
  open!: () => void;
  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}
