import { eventually } from '@holdfast-internal/test-support';
/** Runs a statement against the database of the service. */
export type Query = (sql: string, values?: unknown[]) => Promise<unknown[]>;

/** What a message of a saga says of itself. */
export interface Sent {
  readonly id: string;
  /** Days ago; default: now. */
  readonly daysAgo?: number;
  readonly key?: string;
  /** Of the log: what is in work outside any transaction keeps back what follows in its own; default 0. */
  readonly lane?: 0 | 1;
  /** Default: of order 1. */
  readonly data?: object;
  /** False: it waits for no answer. */
  readonly isAsking?: boolean;
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

/** An address that is looked for in the store, whatever the transport. */
const ADDRESS = 'store:saga';
const DAY_MS = 86_400_000;

/**
 * Plays the saga: writes its messages to the log of the service itself, from where they come back, over the database by its cursors, else by its relay and the
 * broker; and reads what it is answered.
 */
export class SagaMessages {
  constructor(private readonly query: Query) {}

  /** The saga asks for a charge. */
  request(sent: Sent): Promise<void> {
    return this.send(sent, { type: 'card.charge' });
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

  /** What the saga has been answered so far, in order. */
  async replies(): Promise<Reply[]> {
    const rows = await this.query('select attributes, body from holdfast_reply where address = $1 order by id', [ADDRESS]);
    return (rows as { attributes: string; body: Buffer }[]).map(({ attributes, body }) => {
      const { causationid, type } = JSON.parse(attributes) as { causationid: string; type: string };
      return { to: causationid, type, body: String(body) };
    });
  }

  /** Waits until the saga has so many answers to a message; the last one. */
  async answered(id: string, count = 1, patienceMs?: number): Promise<Reply> {
    const answers = await eventually(
      async () => (await this.replies()).filter(({ to }) => to === id),
      ({ length }) => length >= count,
      patienceMs,
    );
    return answers.at(-1) as Reply;
  }

  private async send(
    { id, daysAgo = 0, key, lane = 0, data = { orderId: '1' }, isAsking = true }: Sent,
    also: Readonly<Record<string, string | undefined>>,
  ): Promise<void> {
    const attributes = {
      specversion: '1.0',
      id,
      source: 'shop',
      time: ago(daysAgo),
      datacontenttype: 'application/json',
      partitionkey: key,
      sagaid: 'order-1',
      replyto: isAsking ? ADDRESS : undefined,
      kind: 'command',
      headers: {},
      ...also,
    };
    await this.query(
      `insert into holdfast_outbox (lane, id, written_at, type, key, attributes, body)
       values (${lane}, nextval('holdfast_lane_${lane}'), now() - make_interval(secs => $1 * 86400), $2, $3, $4, $5)`,
      [daysAgo, also.type, key ?? null, JSON.stringify(attributes), Buffer.from(JSON.stringify(data))],
    );
  }
}

function ago(days: number): string {
  return new Date(Date.now() - days * DAY_MS).toISOString();
}

function _pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
