import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedPostgres } from '@holdfast-internal/embedded-postgres';
import { type Account, accountOf } from './account.js';
import { Books, type Counts } from './books.js';
import { type Broker, openBroker, withoutBroker } from './broker.js';
import { Customers } from './customers.js';
import { type Progress, seconds } from './progress.js';
import { ServiceProcess } from './service-process.js';

/** What is asked of a run. */
export interface ScenarioOptions {
  /** Orders that shall be accepted. */
  readonly orders: number;
  /** From the start of this process to its end. */
  readonly withinMs: number;
  readonly transport: 'database' | 'rabbitmq' | 'kafka' | 'rocketmq';
}

const SERVICES = ['orders', 'stock', 'payments', 'shipping'] as const;
/** Who has the money in hand, and who holds the sagas. */
const KILLED = ['payments', 'shipping'] as const;
/** How long they stay down. */
const DOWN_MS = 1000;
const LOOK_MS = 50;
/** With so many orders under way customers wait: a slow machine has to work off all it has accepted. More after the kill, which keeps nobody from ordering. */
const CROWD = { atFirst: 40, afterKill: 60 } as const;
/** How long customers may order, at least, and for each order: on a machine that is too slow for that there are fewer orders. */
const OPEN_MS = 15_000;
const OPEN_PER_ORDER_MS = 80;
/** When the shop has closed, all services are back, and nothing has moved for so long, what is not done counts as lost. */
const STALLED_MS = 25_000;
/** Kept from the time of a run for stopping what still runs when it is over. */
const CLEAN_UP_MS = 3000;

/** The whole story: start everything, place orders, kill two services half-way, start them again, work everything off, stop, count. */
export class Scenario {
  /** Rejects when a service ends that nobody stopped, or the time of the run is over. */
  readonly failed: Promise<never>;
  private readonly orders: number;
  private readonly openMs: number;
  private server: Promise<EmbeddedPostgres> | undefined;
  private readonly broker: Promise<Broker | undefined>;
  private books: Books | undefined;
  private customers: Customers | undefined;
  private services: readonly ServiceProcess[] = [];
  private killed = 0;
  private downMs = 0;
  private fail: (error: Error) => void = () => undefined;
  /** What the story waits for. */
  private missing = 'the broker to start';
  private isOverdue = false;

  constructor(
    { orders, withinMs, transport }: ScenarioOptions,
    private readonly progress: Progress,
  ) {
    this.broker = openBroker(transport);
    this.broker.catch(() => undefined);
    this.orders = orders;
    this.openMs = Math.max(OPEN_MS, orders * OPEN_PER_ORDER_MS);
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => undefined);
    // `performance.now()` counts from the start of the process.
    setTimeout(() => this.giveUp(withinMs), Math.max(0, withinMs - CLEAN_UP_MS - performance.now())).unref();
  }

  async run(): Promise<Account> {
    const books = await this.startServer();
    this.missing = 'the services to start';
    await this.startServices();
    await books.begin();
    this.missing = 'the first order';
    const customers = await this.trade(books);
    this.missing = 'the services to stop';
    await this.stopServices();
    this.missing = 'the tables to be counted';
    return this.settle(books, customers);
  }

  /** Stops whatever runs, in any state, and removes the database. */
  async end(): Promise<void> {
    this.customers?.close();
    // A stop in good order may take as long as what hangs.
    await (this.isOverdue ? Promise.all(this.services.map((service) => service.abandon())) : this.stopServices());
    await this.books?.close().catch(() => undefined);
    const broker = await this.broker.catch(() => undefined);
    await broker?.remove().catch(() => undefined);
    await (await this.server?.catch(() => undefined))?.remove();
  }

  private async startServer(): Promise<Books> {
    const broker = await this.broker;
    this.missing = 'PostgreSQL to start';
    this.server = EmbeddedPostgres.start();
    const server = await this.server;
    const url = await server.createDatabase('shop');
    this.books = await Books.open(url);
    await this.books.createSchemas(SERVICES);
    this.progress.say(`  PostgreSQL is process ${server.pid}: ${url}`);
    const environment = {
      ...withoutBroker(process.env),
      ...broker?.environment,
      DATABASE_URL: url,
      ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }),
    };
    const events = { line: (text: string) => this.progress.say(text), failed: (error: Error) => this.fail(error) };
    this.services = SERVICES.map((name) => new ServiceProcess(name, environment, events));
    return this.books;
  }

  private async startServices(): Promise<void> {
    await Promise.all(this.services.map((service) => service.start()));
    for (const { name, pid, url } of this.services) this.progress.say(`  ${name} is process ${pid}${url === undefined ? '' : `: ${url}`}`);
  }

  private async stopServices(): Promise<void> {
    await Promise.all(this.services.map((service) => service.stop()));
  }

  private giveUp(withinMs: number): void {
    this.isOverdue = true;
    this.fail(
      new Error(`not done within ${withinMs / 1000} s, still waiting for ${this.missing}. The machine is slow or busy, or something hangs`),
    );
  }

  private async trade(books: Books): Promise<Customers> {
    this.progress.say(
      `\nCustomers place ${this.orders} orders, and some over the credit limit, which roll back. Half-way, ${KILLED.join(' and ')} are killed.\n`,
    );
    const customers = new Customers(this.service('orders').url as string, this.orders);
    this.customers = customers;
    const trading = Promise.all([this.placeAll(customers), this.killSome(customers)]);
    const worked = this.workOff(books, customers, trading);
    await Promise.race([worked, trading.then(() => worked)]);
    return customers;
  }

  private async placeAll(customers: Customers): Promise<void> {
    const closing = setTimeout(() => customers.close(), this.openMs);
    await customers.placeAll();
    clearTimeout(closing);
    const placed = customers.accepted.size;
    if (placed < this.orders) this.progress.event(`this machine is slow or busy: ${placed} orders must do`);
  }

  private async killSome({ accepted }: Customers): Promise<void> {
    const services = KILLED.map((name) => this.service(name));
    const latestMs = performance.now() + this.openMs / 2;
    while (accepted.size < this.orders / 2 && performance.now() < latestMs) await sleep(5);
    const downSinceMs = performance.now();
    await Promise.all(services.map((service) => this.killAndRestart(service)));
    this.downMs = performance.now() - downSinceMs;
  }

  private async killAndRestart(service: ServiceProcess): Promise<void> {
    const { name, pid } = service;
    await service.kill();
    this.killed += 1;
    this.progress.event(`kill -9 ${pid}: ${name} is gone, customers go on ordering`);
    await sleep(DOWN_MS);
    await service.start();
    this.progress.event(`${name} is back as process ${service.pid}`);
  }

  /** Shows the progress until the sagas of all accepted orders have ended, or nothing moves any more. */
  private async workOff(books: Books, customers: Customers, trading: Promise<unknown>): Promise<void> {
    let isTrading = true;
    const ended = () => {
      isTrading = false;
    };
    trading.then(ended, ended);
    let line = '';
    for (let movedMs = performance.now(); performance.now() - movedMs < STALLED_MS; await sleep(LOOK_MS)) {
      const counts = await books.counts();
      customers.isCrowded = counts.placed - counts.ended >= (this.killed === 0 ? CROWD.atFirst : CROWD.afterKill);
      if (isTrading || this.lineOf(counts) !== line) movedMs = performance.now();
      line = this.lineOf(counts);
      this.missing = `${this.orders} orders to be placed and fulfilled (${line.replaceAll(/ +/g, ' ')})`;
      this.progress.show(line);
      if (!isTrading && counts.ended >= customers.accepted.size) return this.progress.finish(line);
    }
    this.progress.finish(line);
    this.progress.event(`nothing has moved for ${seconds(STALLED_MS)} s: what is missing counts as lost`);
  }

  /** With all services stopped, so that nothing can come afterwards. */
  private async settle(books: Books, { accepted, refused }: Customers): Promise<Account> {
    const account = accountOf({ accepted, killed: this.killed, ...(await books.facts()) });
    const { median, longest } = await books.waits();
    const { progress } = this;
    progress.say('\nThe account, with all services stopped:');
    progress.say(`  ${account.orders} orders were accepted; ${refused} were refused and rolled back, their messages with them`);
    progress.say(
      `  ${account.completed} are shipped; ${account.compensated} were not paid, and are undone; ${account.parked} wait for a person`,
    );
    progress.say(
      `  ${account.lost} orders were lost, ${account.twice} have more than belongs to them, ${account.undead} came back from a rollback`,
    );
    progress.say(`  ${account.strayed} ended otherwise than orders of their customer do`);
    progress.say(`  missing are ${account.missing.pieces} lamps and ${account.missing.money} of the money`);
    progress.say(
      `  from order to parcel: half of them within ${seconds(median)} s, the slowest ${seconds(longest)} s (services were down for ${seconds(this.downMs)} s)`,
    );
    return account;
  }

  private service(name: (typeof SERVICES)[number]): ServiceProcess {
    return this.services.find((service) => service.name === name) as ServiceProcess;
  }

  private lineOf({ placed, reserved, paid, ended }: Counts): string {
    const column = (name: string, count: number) => `${name} ${String(count).padStart(String(this.orders).length)}`;
    return `${column('placed', placed)}   ${column('reserved', reserved)}   ${column('paid', paid)}   ${column('ended', ended)}`;
  }
}
