// What a start refuses, does by itself and says, read as its user reads it.
import { consoleLogger, Holdfast, Message } from '@holdfast/core';
import { HoldfastModule, Idempotent } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { inMemory } from '@holdfast/transport-in-memory';
import { typeorm } from '@holdfast/typeorm';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource, Entity, PrimaryColumn, Repository } from 'typeorm';
import { silent } from '../../nest/support/recording-engine.js';
import { SCHEMA_VERSION } from '../../../packages/typeorm/src/postgres/schema/migrations.js';
import { openScene, type Scene, sentenceOf } from './support/scene.js';

@Message('shop.any')
class Anything {}

@Entity()
class Shelf {
  @PrimaryColumn() id!: string;
}

const handler = async () => undefined;
const TABLES = `select relname from pg_class where relname like 'holdfast%'`;

let scene: Scene;
beforeEach(async () => {
  scene = await openScene();
});
afterEach(() => scene.close());

/** Runs with this value of NODE_ENV, `undefined`: with none. */
async function under<T>(value: string | undefined, work: () => Promise<T>): Promise<T> {
  const before = process.env.NODE_ENV;
  const set = (to: string | undefined) => {
    if (to === undefined) Reflect.deleteProperty(process.env, 'NODE_ENV');
    else process.env.NODE_ENV = to;
  };
  set(value);
  try {
    return await work();
  } finally {
    set(before);
  }
}

describe('a transport that keeps everything in memory', () => {
  const start = (options: { allowInMemory?: true }) => () => scene.bus({ transport: inMemory(), migrate: true, ...options }).start();

  it('is refused in production, and nothing is touched', async () => {
    expect(await under('production', () => sentenceOf(start({})))).toBe(
      'HF_CONFIG_INVALID: The configuration is not valid: The transport in-memory keeps everything in memory, and NODE_ENV is production. Use one that survives a restart, or say allowInMemory: true to accept that messages are lost. Correct all of this; nothing was started.',
    );
    expect(await scene.look(TABLES)).toEqual([]);
  });

  it('starts in production with consent, and elsewhere without', async () => {
    await under('production', start({ allowInMemory: true }));
    await under('development', start({}));
    await under(undefined, start({}));
  });
});

describe('the schema, when nothing is said about it,', () => {
  it('is not made by a start in production, which says what to do', async () => {
    expect(await under('production', () => sentenceOf(() => scene.bus().start()))).toBe(
      `HF_SCHEMA_BEHIND: The holdfast tables have version 0, this version of Holdfast needs ${SCHEMA_VERSION}. Run holdfast migrate of the package @holdfast/cli before starting, or set migrate: true.`,
    );
    expect(await scene.look(TABLES)).toEqual([]);
  });

  it.each(['development', undefined])('is made by a start with NODE_ENV %s, and then production starts on it', async (environment) => {
    await under(environment, () => scene.bus().start());
    expect(await scene.look(TABLES)).not.toEqual([]);
    await under('production', () => scene.bus().start());
  });

  it('is made in production by migrate: true', async () => {
    await under('production', () => scene.bus({ migrate: true }).start());
    expect(await scene.look(TABLES)).not.toEqual([]);
  });
});

describe('the line of a start', () => {
  const told = async (bus: Holdfast): Promise<string[]> => {
    const console = jest.spyOn(globalThis.console, 'info').mockImplementation(() => {});
    try {
      await bus.start();
      return console.mock.calls.map(([line]) => String(line).replace(/^\S+ /, ''));
    } finally {
      console.mockRestore();
    }
  };

  it('names service, store, transport and subscriptions, and is the only one', async () => {
    const bus = scene.bus({}, consoleLogger).on(Anything, handler, { name: 'billing' }).on(Anything, handler, { name: 'audit' });
    expect(await told(bus)).toEqual([
      'INFO  holdfast: started service=shop store="postgres (typeorm)" transport=database subscriptions="billing, audit"',
    ]);
  });

  it('says which schema the tables are in, and that nothing is subscribed', async () => {
    const bus = scene.bus({ store: typeorm({ dataSource: scene.dataSource, schema: 'bus' }) }, consoleLogger);
    expect(await told(bus)).toEqual([
      'INFO  holdfast: started service=shop store="postgres (typeorm, schema bus)" transport=database subscriptions=none',
    ]);
  });

  it('says what is given up without a store', async () => {
    const bus = new Holdfast({ service: 'shop', transport: inMemory() }).on(Anything, handler, { name: 'audit' });
    expect(await told(bus)).toEqual([
      'INFO  holdfast: started service=shop store="none: publishing waits for the transport, retries stay in this process, dead letters are logged" transport=in-memory subscriptions=audit',
    ]);
    await bus.stop();
  });
});

describe('another package that finds its transaction by itself is refused', () => {
  const sentence = (target: string) =>
    `HF_REPOSITORY_PATCHED: Another package has already changed ${target} of TypeORM (as typeorm-transactional does; the decorator is \`import { Transactional } from "@holdfast/nest"\`). Remove that package: two of them would run the same statement in two different transactions.`;

  /** The start of an application whose TypeORM was patched, as typeorm-transactional does it: with a getter. */
  const start = async (patch: (dataSource: DataSource) => object) => {
    const { options } = scene.dataSource;
    const dataSource = await new DataSource({ ...options, entities: [Shelf] } as never).initialize();
    const { manager } = dataSource;
    const target = patch(dataSource);
    Object.defineProperty(target, 'manager', { configurable: true, get: () => manager, set: () => {} });
    try {
      return await sentenceOf(() => scene.bus({ store: typeorm({ dataSource }) }).start());
    } finally {
      Reflect.deleteProperty(target, 'manager');
      Object.assign(dataSource, { manager });
      await dataSource.destroy();
    }
  };

  it('on the data source', async () => {
    expect(await start((dataSource) => dataSource)).toBe(sentence('DataSource.manager'));
  });

  it('on the repositories', async () => {
    expect(await start(() => Repository.prototype)).toBe(sentence('Repository.manager'));
  });
});

it('@Idempotent without a key on a method that is no handler is refused, with what to write', async () => {
  @Injectable()
  class Cards {
    @Idempotent()
    async charge(): Promise<void> {}
  }
  const app = await Test.createTestingModule({
    imports: [
      TypeOrmModule.forRoot({ ...scene.dataSource.options } as never),
      HoldfastModule.forRoot({ service: 'shop', transport: database(), store: typeorm() }),
    ],
    providers: [Cards],
  })
    .setLogger(silent)
    .compile();
  try {
    expect(await sentenceOf(() => app.init())).toBe(
      'HF_CONFIG_INVALID: The configuration is not valid: Cards.charge has @Idempotent() without a key and is not a handler, so it has no message id to go by. Give a key: @Idempotent({ key: (...args) => ... }). Correct all of this; nothing was started.',
    );
  } finally {
    await app.close().catch(() => app.get(DataSource).destroy());
  }
});
