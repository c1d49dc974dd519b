import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedPostgres } from '@holdfast-internal/embedded-postgres';
import { type Account, accountOf } from './account.js';
import { Books, type Counts } from './books.js';
import { Customers } from './customers.js';
import type { Progress } from './progress.js';
import { ServiceProcess } from './service-process.js';

const SERVICES = ['orders', 'payments', 'stock'] as const;
/** How long payments stays down after it was killed. */
const DOWN_MS = 1000;
const LOOK_MS = 100;
/** After this, what is not done counts as lost. */
const DEADLINE_MS = 40_000;
const DEADLINE_PER_ORDER_MS = 10;

/** The whole story: start everything, place orders, kill payments half-way, start it again, wait, stop, count. */
export class Scenario {
  /** Rejects when a service ends that nobody stopped. */
  readonly failed: Promise<never>;
  private readonly startedMs = performance.now();
  private server: Promise<EmbeddedPostgres> | undefined;
  private books: Books | undefined;
  private services: readonly ServiceProcess[] = [];
  private killed = 0;
  private downMs = 0;
  private fail: (error: Error) => void = () => undefined;

  constructor(
    private readonly orders: number,
    private readonly progress: Progress,
  ) {
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => undefined);
  }

  async run(): Promise<Account> {
    const { progress } = this;
    const books = await this.startServer();
    await this.startServices();
    progress.say(`\n${this.orders} orders are placed, and some more that are over the credit limit: those roll back. Half-way, payments is killed.\n`);
    const customers = await this.trade(books);
    await this.stopServices();
    return this.settle(books, customers);
  }

  /** Stops whatever runs, in any state, and removes the database. */
  async end(): Promise<void> {
    await this.stopServices();
    await this.books?.close().catch(() => undefined);
    await (await this.server?.catch(() => undefined))?.remove();
  }

  private async startServer(): Promise<Books> {
    this.server = EmbeddedPostgres.start();
    const server = await this.server;
    const url = await server.createDatabase('shop');
    this.books = await Books.open(url);
    await this.books.createSchemas(SERVICES);
    this.started('PostgreSQL', server.pid, url);
    const environment = { ...process.env, DATABASE_URL: url, ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }) };
    const events = { line: (text: string) => this.progress.say(text), failed: (error: Error) => this.fail(error) };
    this.services = SERVICES.map((name) => new ServiceProcess(name, environment, events));
    return this.books;
  }

  private async startServices(): Promise<void> {
    await Promise.all(this.services.map((service) => service.start()));
    for (const { name, pid, url } of this.services) this.started(name, pid, url);
  }

  private async stopServices(): Promise<void> {
    await Promise.all(this.services.map((service) => service.stop()));
  }

  /** Customers order, payments dies and comes back, everything is worked off. */
  private async trade(books: Books): Promise<Customers> {
    let disaster: Promise<void> | undefined;
    const half = Math.floor(this.orders / 2);
    const customers = new Customers(this.service('orders').url as string, this.orders, (count) => {
      if (count === half) disaster = this.killPayments();
    });
    const placed = customers.placeAll();
    const worked = this.waitUntilDone(books);
    await Promise.all([placed.then(() => disaster), worked]);
    return customers;
  }

  private async killPayments(): Promise<void> {
    const payments = this.service('payments');
    const { pid } = payments;
    const downSinceMs = performance.now();
    await payments.kill();
    this.killed += 1;
    this.progress.say(`${this.clock()}  kill -9 ${pid}: payments is dead; customers go on ordering`);
    await sleep(DOWN_MS);
    await payments.start();
    this.downMs = performance.now() - downSinceMs;
    this.progress.say(`${this.clock()}  payments is back as ${payments.pid}`);
  }

  private async waitUntilDone(books: Books): Promise<void> {
    const deadlineMs = performance.now() + DEADLINE_MS + this.orders * DEADLINE_PER_ORDER_MS;
    for (;;) {
      const counts = await books.counts();
      if (counts.paid >= this.orders && counts.reserved >= this.orders) return this.progress.finish(this.lineOf(counts));
      if (performance.now() > deadlineMs) {
        this.progress.finish(this.lineOf(counts));
        return this.progress.say('This takes too long: what is missing by now counts as lost.');
      }
      this.progress.show(this.lineOf(counts));
      await sleep(LOOK_MS);
    }
  }

  /** With everything stopped, so that nothing can come afterwards. */
  private async settle(books: Books, customers: Customers): Promise<Account> {
    const [orders, payments, reservations] = await Promise.all([books.orders(), books.payments(), books.reservations()]);
    const { accepted, refused } = customers;
    const account = accountOf({ accepted, refused, orders, payments, reservations, killed: this.killed });
    const { median, longest } = await books.waits();
    const { progress } = this;
    progress.say('\nThe account, with all services stopped:');
    progress.say(`  ${accepted.length} orders were accepted, ${refused} were refused: rolled back, and their messages with them`);
    progress.say(`  ${payments.length} payments and ${reservations.length} reservations were made`);
    progress.say(`  ${account.lost} orders were lost, ${account.twice} were paid or reserved twice, ${account.undead} came back from a rollback`);
    progress.say(`  from order to reservation: half of them within ${seconds(median)} s, the slowest ${seconds(longest)} s (payments was down for ${seconds(this.downMs)} s)`);
    return account;
  }

  private service(name: (typeof SERVICES)[number]): ServiceProcess {
    return this.services.find((service) => service.name === name) as ServiceProcess;
  }

  private started(name: string, pid: number | undefined, url = ''): void {
    this.progress.say(`  ${name.padEnd(11)} process ${String(pid).padEnd(8)} ${url}`.trimEnd());
  }

  private lineOf({ placed, paid, reserved }: Counts): string {
    const column = (name: string, count: number) => `${name} ${String(count).padStart(String(this.orders).length)}`;
    return `${this.clock()}  ${column('placed', placed)}  ${column('paid', paid)}  ${column('reserved', reserved)}  of ${this.orders}`;
  }

  private clock(): string {
    return `${seconds(performance.now() - this.startedMs).padStart(5)} s`;
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
