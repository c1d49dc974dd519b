import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { NonRetryableMessageError, OutboxTransport } from './contract.js';
import { OutboxRow } from './outbox-row.entity.js';

const POLL_MS = 50;
const BATCH = 100;
const PUBLISH_TIMEOUT_MS = 10_000;
const ATTEMPTS = 20;

/** Publishes what waits: keys side by side, the messages of a key one after another. One process, so it needs no lease. */
@Injectable()
export class OutboxRelay implements OnApplicationBootstrap, OnModuleDestroy {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private isStopped = false;

  constructor(
    private readonly dataSource: DataSource,
    @Inject(OutboxTransport) private readonly transport: OutboxTransport,
  ) {}

  onApplicationBootstrap(): void {
    this.schedule();
  }

  async onModuleDestroy(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private schedule(): void {
    if (this.isStopped) return;
    this.timer = setTimeout(() => {
      this.running = this.runOnce().finally(() => this.schedule());
    }, POLL_MS);
  }

  private async runOnce(): Promise<void> {
    const rows = await this.dataSource.getRepository(OutboxRow).find({ where: { isDead: false }, order: { sequence: 'ASC' }, take: BATCH });
    const groups = new Map<string, OutboxRow[]>();
    for (const row of rows) {
      const group = row.key ?? row.id;
      groups.set(group, [...(groups.get(group) ?? []), row]);
    }
    await Promise.all([...groups.values()].map((group) => this.publishInTurn(group)));
  }

  private async publishInTurn(group: readonly OutboxRow[]): Promise<void> {
    for (const row of group) if (!(await this.publish(row))) return;
  }

  /** False when it stays and is tried again. */
  private async publish(row: OutboxRow): Promise<boolean> {
    const rows = this.dataSource.getRepository(OutboxRow);
    try {
      await this.transport.publish(row, { signal: AbortSignal.timeout(PUBLISH_TIMEOUT_MS) });
      await rows.delete(row.id);
      return true;
    } catch (error) {
      const attempts = row.attempts + 1;
      const isDead = error instanceof NonRetryableMessageError || attempts >= ATTEMPTS;
      await rows.update(row.id, { attempts, isDead, lastError: String(error) });
      return isDead;
    }
  }
}
