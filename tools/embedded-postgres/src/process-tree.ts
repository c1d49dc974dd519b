import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
}

/**
 * Kills a PostgreSQL server the way a power cut does: the postmaster and every backend with SIGKILL, none of them with
 * time to react. Backends are leaders of their own process groups, so they are found by their parent; the postmaster is
 * stopped first, because it would start new ones. Resolves when all of them are gone.
 */
export async function killTree(pid: number): Promise<void> {
  signal(pid, 'SIGSTOP');
  await until(
    () =>
      processes()
        .find((entry) => entry.pid === pid)
        ?.state.match(/[RSD]/) == null,
    1_000,
  );
  const victims = [pid, ...childrenOf(pid)];
  for (const victim of victims) signal(victim, 'SIGKILL');
  await until(() => !victims.some(isRunning), 10_000);
}

/** Asks the server to stop at once without a checkpoint; kills it when it has not stopped after `timeoutMs`. */
export async function stopTree(pid: number, stopSignal: 'SIGINT' | 'SIGQUIT', timeoutMs: number): Promise<void> {
  signal(pid, stopSignal);
  if (!(await until(() => !isRunning(pid), timeoutMs))) await killTree(pid);
}

/** Whether the process exists and is more than a zombie. */
export function isRunning(pid: number): boolean {
  if (process.platform !== 'win32') return processes().some((entry) => entry.pid === pid && !entry.state.startsWith('Z'));
  return signal(pid, 0);
}

function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}

function childrenOf(pid: number): number[] {
  return processes()
    .filter((entry) => entry.parent === pid)
    .map((entry) => entry.pid);
}

async function until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) return false;
    await sleep(10);
  }
  return true;
}

function processes(): ProcessEntry[] {
  if (process.platform === 'win32') return [];
  return process.platform === 'linux' ? processesOfLinux() : processesOfPs();
}

function processesOfLinux(): ProcessEntry[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // pid (command, which may hold spaces and brackets) state parent …
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const [state = '', parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return [{ pid: Number(name), parent: Number(parent), state }];
      } catch {
        return [];
      }
    });
}

function processesOfPs(): ProcessEntry[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,state='], { encoding: 'utf8' }).split('\n');
  return lines
    .map((line) => line.trim().split(/\s+/))
    .map(([pid, parent, state = '']) => ({ pid: Number(pid), parent: Number(parent), state }));
}
