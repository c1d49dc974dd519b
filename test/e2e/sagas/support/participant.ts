import { createTestDatabase } from '@holdfast-internal/test-support';
import { Command, type Delivery, type HandlerPolicies, Holdfast, Message, silentLogger, type TransportFactory } from '@holdfast/core';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

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

/** What a message of a saga says of itself, besides what all of them do. */
export interface Sent {
  readonly id: string;
  /** Days ago; default: now. */
  readonly daysAgo?: number;
  readonly key?: string;
  /** Of the log: what is in work outside any transaction keeps back what follows in its own; default 0. */
  readonly lane?: 0 | 1;
}

/** A compensation. */
export interface Undoing extends Sent {
  /** Id of the request; default: `r`. */
  readonly request?: string;
  readonly hasRun?: boolean;
  /** Days ago; default: not told. */
  readonly requestDaysAgo?: number;
  readonly requestType?: string;
}

/** What the saga is answered. */
export interface Reply {
  /** Id of the message that is answered. */
  readonly to: string;
  readonly type: string;
  readonly body: string;
}

/** How the handlers of a process are made. */
export interface Handling {
  readonly isTransactional?: boolean;
  /** Names and policies other than the usual. */
  readonly charge?: Partial<HandlerPolicies<ChargeCard>> & { readonly name?: string };
  readonly refund?: Partial<HandlerPolicies<RefundCard>>;
  /** Called in the handler of the request, after its row is written. */
  readonly charging?: (delivery: Delivery) => unknown;
  readonly refunding?: (delivery: Delivery) => unknown;
}

const ADDRESS = 'store:saga';
const DAY_MS = 86_400_000;

/** The service at the other end of a saga's steps, with a database; the saga is played by whoever tests. */
export class Participant {
  private readonly buses: Holdfast[] = [];

  private constructor(
    readonly source: DataSource,
    private readonly transport: () => TransportFactory,
    private readonly drop: () => Promise<void>,
  ) {}

  static async over(transport: () => TransportFactory): Promise<Participant> {
    const { url, drop } = await createTestDatabase();
    const source = await new DataSource({ type: 'postgres', url, poolSize: 14 }).initialize();
    await source.query('create table effect (n bigserial primary key, what text not null)');
    return new Participant(source, transport, drop);
  }

  /** Starts a process; handlers outside a transaction write past the bus, as a card provider does. */
  async start({ isTransactional = true, charge = {}, refund = {}, charging, refunding }: Handling = {}): Promise<Holdfast> {
    const bus = new Holdfast(
      { service: 'cards', transport: this.transport(), store: typeorm({ dataSource: this.source, lanes: 2 }) },
      { logger: silentLogger },
    );
    const policies = { transactional: isTransactional, idempotent: true, retry: { attempts: 3, backoff: { delay: '20ms' } } } as const;
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
      { name: 'cards.refund', compensates: ChargeCard, ...policies, ...refund } as HandlerPolicies<RefundCard>,
    );
    await bus.start();
    this.buses.push(bus);
    return bus;
  }

  async stop(bus: Holdfast): Promise<void> {
    this.buses.splice(this.buses.indexOf(bus), 1);
    await bus.stop({ timeout: '5s' });
  }

  /** The saga asks for a charge. */
  request({ id, ...also }: Sent): Promise<void> {
    return this.send({ id, ...also }, { type: 'card.charge' });
  }

  /** The saga wants a request undone. */
  undo({ request = 'r', hasRun, requestDaysAgo, requestType, ...sent }: Undoing): Promise<void> {
    return this.send(sent, {
      type: 'card.refund',
      compensates: request,
      ran: hasRun ? 'true' : undefined,
      compensatestime: requestDaysAgo === undefined ? undefined : ago(requestDaysAgo),
      compensatestype: requestType,
    });
  }

  /** What was charged and refunded, in order. */
  async effects(): Promise<string[]> {
    return ((await this.source.query('select what from effect order by n')) as { what: string }[]).map(({ what }) => what);
  }

  /** What the saga has been answered so far, in order. */
  async replies(): Promise<Reply[]> {
    const rows = (await this.source.query('select attributes, body from holdfast_reply where address = $1 order by id', [ADDRESS])) as {
      attributes: string;
      body: Buffer;
    }[];
    return rows.map(({ attributes, body }) => {
      const { causationid, type } = JSON.parse(attributes) as { causationid: string; type: string };
      return { to: causationid, type, body: String(body) };
    });
  }

  /** Waits until the saga has so many answers to a message; the last one. */
  async answered(id: string, count = 1): Promise<Reply> {
    const answers = await until(
      async () => (await this.replies()).filter(({ to }) => to === id),
      ({ length }) => length >= count,
    );
    return answers.at(-1) as Reply;
  }

  /** What is remembered of the request, by its status. */
  async memory(id = 'r'): Promise<string | undefined> {
    const rows = await this.source.query(
      `select i.status from holdfast_inbox i join holdfast_subscription s on s.id = i.subscription_id where s.name like 'cards.charge%' and i.message_id = $1`,
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

  /** Written to the log of the service itself, from where it comes back: over the database by its cursors, else by its relay and the broker. */
  private async send({ id, daysAgo = 0, key, lane = 0 }: Sent, also: Readonly<Record<string, string | undefined>>): Promise<void> {
    const attributes = {
      specversion: '1.0',
      id,
      source: 'shop',
      time: ago(daysAgo),
      datacontenttype: 'application/json',
      partitionkey: key,
      sagaid: 'order-1',
      replyto: ADDRESS,
      kind: 'command',
      headers: {},
      ...also,
    };
    await this.source.query(
      `insert into holdfast_outbox (lane, id, written_at, type, key, attributes, body)
       values (${lane}, nextval('holdfast_lane_${lane}'), now() - make_interval(secs => $1 * 86400), $2, $3, $4, $5)`,
      [daysAgo, also.type, key ?? null, JSON.stringify(attributes), Buffer.from('{"orderId":"1"}')],
    );
  }
}

function ago(days: number): string {
  return new Date(Date.now() - days * DAY_MS).toISOString();
}

/** Looks until it is so. */
export async function until<T>(look: () => Promise<T> | T, isGood: (value: T) => boolean, patienceMs = 20_000): Promise<T> {
  for (const end = performance.now() + patienceMs; ; await pause(20)) {
    const value = await look();
    if (isGood(value)) return value;
    if (performance.now() > end) throw new Error(`still not so after ${patienceMs} ms: ${JSON.stringify(value)}`);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
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
