import type { Scheduler } from '@holdfast/core';
import type { KafkaConsumer, Position } from './client.port.js';
import type { PartitionWindow } from './partition-window.js';

/** After a commit that failed; by then the group may have given partitions anew. */
const AGAIN_MS = 300;

/** What commits work with. */
export interface CommitsParts {
  readonly consumer: Pick<KafkaConsumer, 'commit'>;
  /** Those that are ours now, by name. */
  readonly windows: ReadonlyMap<string, PartitionWindow>;
  readonly scheduler: Scheduler;
  readonly failed: (error: unknown) => void;
}

/** Commits how far windows are: one request at a time, into which goes all that was settled meanwhile. */
export class Commits {
  private committing: Promise<void> | undefined;
  private isOver = false;

  constructor(private readonly parts: CommitsParts) {}

  /** Something was settled. */
  soon(): void {
    if (this.isOver) return;
    this.committing ??= this.commitAll().finally(() => {
      this.committing = undefined;
      if (this.moved().length > 0) this.soon();
    });
  }

  /** Commits everything once more, and nothing after it. @param note for whoever comes next, of windows that have nothing in work */
  async last(note: string): Promise<void> {
    this.isOver = true;
    await this.committing;
    const idle = [...this.parts.windows.values()].filter(({ inWork }) => inWork === 0);
    await this.commit(idle.flatMap((window) => positionOf(window, note)));
  }

  private async commitAll(): Promise<void> {
    for (let moved = this.moved(); moved.length > 0 && !this.isOver; moved = this.moved()) {
      if (await this.commit(moved.flatMap((window) => positionOf(window)))) continue;
      await this.parts.scheduler.sleep(AGAIN_MS);
      return;
    }
  }

  private moved(): readonly PartitionWindow[] {
    return [...this.parts.windows.values()].filter(({ hasMoved }) => hasMoved);
  }

  /** False when it is not known. */
  private async commit(positions: readonly Position[]): Promise<boolean> {
    if (positions.length === 0) return true;
    try {
      await this.parts.consumer.commit(positions);
    } catch (error) {
      this.parts.failed(error);
      return false;
    }
    for (const { topic, partition, offset } of positions) {
      const window = this.parts.windows.get(`${topic}/${partition}`);
      if (window !== undefined) window.committed = offset;
    }
    return true;
  }
}

function positionOf({ topic, partition, position }: PartitionWindow, note?: string): readonly Position[] {
  return position === undefined ? [] : [{ topic, partition, offset: position, note }];
}
