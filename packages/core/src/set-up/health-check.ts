import { printable } from '../errors/printable.js';
import type { Health } from '../monitoring/health.js';
import type { Store } from '../store/store.port.js';
import type { Scheduler } from '../time/scheduler.js';
import { nameOfTransport } from '../transport/route.js';
import type { Transports } from './transports.js';

/** What a look at the health of a process needs. */
export interface HealthParts {
  readonly phase: 'starting' | 'running' | 'stopping';
  readonly store: Store | undefined;
  readonly transports: Transports;
  /** Subscriptions that this process has paused because most of their deliveries fail. */
  readonly failing: readonly string[];
  readonly scheduler: Scheduler;
  readonly timeoutMs: number;
  readonly maxLagMs: number;
}

/** What the store said. */
interface StoreLook {
  readonly error: unknown;
  readonly lagMs: number | undefined;
  readonly paused: ReadonlySet<string>;
}

type TransportLine = Health['transports'][number];

const NO_STORE: StoreLook = { error: undefined, lagMs: undefined, paused: new Set() };
const NO_TRANSPORT: TransportLine = { name: 'none', kind: 'none', status: 'down', problem: 'there is none' };

/** Looks at every part; never throws, and takes no longer than its time-out. */
export async function checkHealth(parts: HealthParts): Promise<Health> {
  const { store, failing, maxLagMs, phase } = parts;
  const look = phase === 'running' && store !== undefined ? await lookInto(store, parts) : NO_STORE;
  const all = parts.transports.all.map(({ name, kind, transport }): TransportLine => ({ name, kind, ...transport.health }));
  const transports = all.length === 0 ? [NO_TRANSPORT] : all;
  const isReachable = phase === 'running' && look.error === undefined;
  const down = [
    ...(phase === 'running' ? [] : [phase === 'starting' ? 'it has not started yet' : 'it is stopping']),
    ...(look.error === undefined ? [] : [`the store cannot be reached: ${reasonOf(look.error)}`]),
  ];
  const wrong = transports.flatMap((transport) => transportProblem(transport, store !== undefined) ?? []);
  if (store === undefined && phase === 'running') down.push(...wrong);
  const [first] = transports as [TransportLine];
  const degraded = [
    ...(store === undefined ? [] : wrong),
    ...(look.lagMs !== undefined && look.lagMs > maxLagMs ? [`the oldest message that waits was written ${look.lagMs} ms ago`] : []),
    ...failing.map((name) => `the subscription ${name} has paused, because most of its deliveries fail`),
  ];
  return {
    status: down.length > 0 ? 'down' : degraded.length > 0 ? 'degraded' : 'up',
    problems: [...down, ...(phase === 'running' ? degraded : [])],
    store: store && { description: store.description, isReachable },
    transport: { name: first.kind, status: first.status, problem: first.problem },
    transports,
    lagMs: look.lagMs,
    paused: [
      ...[...look.paused].map((subscription) => ({ subscription, reason: 'operator' as const })),
      ...failing.filter((name) => !look.paused.has(name)).map((subscription) => ({ subscription, reason: 'failures' as const })),
    ],
  };
}

function transportProblem({ name, kind, status, problem }: TransportLine, hasStore: boolean): string | undefined {
  if (status === 'up') return undefined;
  const waits = hasStore ? '; messages wait in the outbox' : '';
  const what = status === 'blocked' ? 'takes no messages' : 'is not connected';
  return `the transport ${nameOfTransport(name, kind)} ${what}${problem === undefined ? '' : ` (${problem})`}${waits}`;
}

async function lookInto(store: Store, { scheduler, timeoutMs }: HealthParts): Promise<StoreLook> {
  const late = new AbortController();
  const tooLate = scheduler.sleep(timeoutMs, late.signal).then(() => {
    throw new Error(`no answer within ${timeoutMs} ms`);
  });
  tooLate.catch(() => undefined);
  try {
    const [lagMs, paused] = await Promise.race([Promise.all([store.log.lagMs(), store.subscriptions.paused()]), tooLate]);
    return { error: undefined, lagMs, paused };
  } catch (error) {
    return { ...NO_STORE, error };
  } finally {
    late.abort();
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : printable(error);
}
