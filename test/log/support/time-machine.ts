import { chownSync, cpSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { EmbeddedPostgres } from '@holdfast-internal/test-support';

/** Takes a server back to an earlier state, as a fail-over to a standby does that had not received the latest commits. */
export class TimeMachine {
  private readonly copy: string;

  constructor(private readonly server: EmbeddedPostgres) {
    this.copy = `${server.dataDirectory}-then`;
  }

  /** Remembers what is there now. */
  async remember(): Promise<void> {
    await this.server.stop();
    rmSync(this.copy, { recursive: true, force: true });
    cpSync(this.server.dataDirectory, this.copy, { recursive: true });
    await this.server.start();
  }

  /** Everything since `remember` never happened. */
  async goBack(): Promise<void> {
    await this.server.kill();
    const { uid, gid } = statSync(this.server.dataDirectory);
    rmSync(this.server.dataDirectory, { recursive: true, force: true });
    cpSync(this.copy, this.server.dataDirectory, { recursive: true });
    // A copy made by root belongs to root, and PostgreSQL does not run as root.
    const owned = [
      this.server.dataDirectory,
      ...readdirSync(this.server.dataDirectory, { recursive: true }).map((name) => join(this.server.dataDirectory, String(name))),
    ];
    for (const path of owned) chownSync(path, uid, gid);
    await this.server.start();
  }
}
