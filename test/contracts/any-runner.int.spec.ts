// The cases of a contract, under another test runner, and on an adapter that breaks its word.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { embeddedServer } from '@holdfast-internal/test-support';
import { hfError, type Transport, type TransportFactory } from '@holdfast/core';
import { storeContract, transportContract } from '@holdfast/core/testing/contracts';
import { IN_MEMORY_CAPABILITIES, inMemory } from '@holdfast/transport-in-memory';
import { onPostgres } from './postgres-system.js';

const ROOT = join(__dirname, '..', '..');
/** The sample of the how-to page, on a few cases. */
const PATTERN = '^(a batch|at the start) ';

function nodeTest(databaseUrl: string) {
  const { status, stdout } = spawnSync(
    process.execPath,
    [
      ...['--require', join(ROOT, 'test/cli/from-source.cjs'), '--require', 'reflect-metadata'],
      ...['--test', '--test-reporter=tap', `--test-name-pattern=${PATTERN}`],
      join(ROOT, 'test/samples/how-to/transport-contract.ts'),
    ],
    // A runner that finds itself inside another one reports to that one.
    { encoding: 'utf8', cwd: ROOT, env: { ...process.env, NODE_TEST_CONTEXT: undefined, DATABASE_URL: databaseUrl } },
  );
  const told = (line: RegExp) => [...stdout.matchAll(line)].map(([, name]) => name);
  return {
    status,
    passed: told(/^ *ok \d+ - ((?:a batch|at the start).*?)(?: # .*)?$/gm).filter(isRun),
    failed: told(/^ *not ok \d+ - ((?:a batch|at the start).*)$/gm),
  };
  function isRun(name: string | undefined): boolean {
    return !new RegExp(`^ *ok \\d+ - ${name?.replaceAll(/[^\w ]/g, '.')} # SKIP`, 'm').test(stdout);
  }
}

const chosen = transportContract(IN_MEMORY_CAPABILITIES)
  .map(({ name }) => name)
  .filter((name) => new RegExp(PATTERN).test(name));

/** `inMemory()` whose transports do something differently. */
function spoiled(change: (transport: Transport) => Partial<Transport>): TransportFactory {
  const factory = inMemory();
  return {
    ...factory,
    create(context) {
      const transport = factory.create(context);
      const changed = change(transport);
      return new Proxy(transport, {
        get: (target, name) => {
          const value: unknown = Reflect.get(name in changed ? changed : target, name);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    },
  };
}

function check(name: string, transport: TransportFactory): Promise<void> {
  const found = transportContract(IN_MEMORY_CAPABILITIES).find((each) => each.name === name);
  if (found === undefined) throw new Error(`no such case: ${name}`);
  return found.run({ open: () => onPostgres(() => transport) });
}

describe('the contract of transports', () => {
  it('has a name of its own for every case, and cases for what a transport can do', () => {
    const names = transportContract({ ...IN_MEMORY_CAPABILITIES, withoutStore: true }).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const fewer = transportContract({ ...IN_MEMORY_CAPABILITIES, withoutStore: false, partitionedDelivery: false }).map(({ name }) => name);
    const gone = names.filter((name) => !fewer.includes(name));
    expect(gone.length).toBeGreaterThan(5);
    expect(gone.filter((name) => !/without a store|with ordering/.test(name))).toEqual([]);
  });

  it('runs under node --test', () => {
    expect(nodeTest(embeddedServer().url)).toEqual({ status: 0, passed: chosen, failed: [] });
  });

  it('tells node --test what does not hold', () => {
    expect(nodeTest('postgres://postgres@127.0.0.1:1/postgres')).toEqual({ status: 1, passed: [], failed: chosen });
  });

  it('asks a transport without replies to refuse requests', async () => {
    const refused = 'a request is refused, where replies find nobody';
    const found = transportContract({ ...IN_MEMORY_CAPABILITIES, replies: false });
    expect(found.map(({ name }) => name).filter((name) => name.startsWith('a request'))).toEqual([refused]);
    const without = spoiled(() => ({
      openReplies: async () => {
        throw hfError('HF_CAPABILITY_UNSUPPORTED', { feature: 'bus.request()', provider: 'this transport' });
      },
    }));
    const run = (transport: TransportFactory) =>
      found.find(({ name }) => name === refused)?.run({ open: () => onPostgres(() => transport) });
    await expect(run(without)).resolves.toBeUndefined();
    await expect(run(inMemory())).rejects.toMatchObject({ code: 'ERR_ASSERTION' });
  });

  it('finds a transport that changes what it carries', async () => {
    const changing = spoiled((transport) => ({
      publish: (batch) => transport.publish(batch.map((envelope) => ({ ...envelope, headers: {} }))),
    }));
    const name = 'a message arrives as it was published: data, id, key, headers, time, conversation';
    await expect(check(name, changing)).rejects.toMatchObject({ code: 'ERR_ASSERTION' });
    await expect(check(name, inMemory())).resolves.toBeUndefined();
  });

  it('finds a transport that hands over more at once than it was asked to', async () => {
    const greedy = spoiled((transport) => ({ subscribe: (spec, sink) => transport.subscribe({ ...spec, concurrency: 99 }, sink) }));
    await expect(check('a subscription never has more in work than its concurrency', greedy)).rejects.toMatchObject({
      code: 'ERR_ASSERTION',
    });
  });
});

describe('the contract of stores', () => {
  it('has a name of its own for every case', () => {
    const names = storeContract().map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(100);
  });
});
