// The place of the test database in memory.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { freemem, tmpdir } from 'node:os';
import { join } from 'node:path';

const { findMemory, freeBytes, removeStaleServers } = require('./memory.cjs') as {
  findMemory(options: { readonly directory: string; readonly enoughBytes: number }): string | undefined;
  freeBytes(machine: { constrainedMemory?(): number; availableMemory?(): number }): number;
  removeStaleServers(directory: string): void;
};

describe('the memory for the database of a run', () => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-memory-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  function leaveServer(name: string, pid?: number, ageMinutes = 5): void {
    mkdirSync(join(directory, name, 'data'), { recursive: true });
    if (pid === undefined) return;
    const file = join(directory, name, 'data', 'postmaster.pid');
    writeFileSync(file, `${pid}\n${directory}\n`);
    const writtenAt = Date.now() / 1000 - ageMinutes * 60;
    utimesSync(file, writtenAt, writtenAt);
  }

  it('is taken where there is enough of it and it can be written to, and left as it was', () => {
    expect(findMemory({ directory, enoughBytes: 1 })).toBe(directory);
    expect(readdirSync(directory)).toEqual([]);
    expect(findMemory({ directory, enoughBytes: Number.MAX_SAFE_INTEGER })).toBeUndefined();
  });

  it('is not taken where there is none, or nothing can be made in it', () => {
    expect(findMemory({ directory: join(directory, 'missing'), enoughBytes: 1 })).toBeUndefined();
    expect(findMemory({ directory: __filename, enoughBytes: 1 })).toBeUndefined();
  });

  it('is what a container has left, or its limit where that is not known', () => {
    expect(freeBytes({ availableMemory: () => 1000, constrainedMemory: () => 2000 })).toBe(1000);
    expect(freeBytes({ constrainedMemory: () => 2000 })).toBe(2000);
    const more = freeBytes({ constrainedMemory: () => 0 });
    expect(more).toBeGreaterThan(2000);
    expect(more).toBeLessThan(2 * freemem() + 2 ** 30);
  });

  it('is freed of servers that are dead, and of nothing else', () => {
    leaveServer('holdfast-postgres-dead', spawnSync(process.execPath, ['-e', '']).pid);
    leaveServer('holdfast-postgres-alive', process.pid);
    leaveServer('holdfast-postgres-starting');
    leaveServer('holdfast-postgres-making', spawnSync(process.execPath, ['-e', '']).pid, 0);
    leaveServer('another-postgres-dead', spawnSync(process.execPath, ['-e', '']).pid);
    removeStaleServers(directory);
    const kept = ['another-postgres-dead', 'holdfast-postgres-alive', 'holdfast-postgres-making', 'holdfast-postgres-starting'];
    expect(readdirSync(directory).sort()).toEqual(kept);
    removeStaleServers(join(directory, 'missing'));
  });
});
