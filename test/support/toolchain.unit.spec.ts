// The tool chain itself: what every other suite silently relies on.
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Controller, Injectable } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { getDataSourceToken } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';

const ROOT = join(__dirname, '..', '..');
const Sequencer = require('./sequencer.cjs') as SequencerClass;

interface SequencerClass {
  readonly longest: readonly string[];
  new (options: object): { sort(tests: readonly object[]): readonly { readonly path: string }[] };
}

describe('tool chain', () => {
  it('loads Nest 12 in CommonJS tests and injects by constructor type', async () => {
    @Injectable()
    class Engine {}
    @Controller()
    class Car {
      constructor(readonly engine: Engine) {}
      @EventPattern<string>('start')
      start(): void {}
    }
    const module = await Test.createTestingModule({ providers: [Engine], controllers: [Car] }).compile();
    expect(module.get(Car).engine).toBeInstanceOf(Engine);
    await module.close();
  });

  it('loads the TypeORM that HOLDFAST_TEST_TYPEORM asks for, the same one for @nestjs/typeorm', () => {
    const folder = process.env.HOLDFAST_TEST_TYPEORM === '0.3' ? 'typeorm-03' : 'typeorm';
    expect(require.resolve('typeorm')).toContain(`node_modules/${folder}/`);
    expect(getDataSourceToken()).toBe(DataSource);
  });

  it('runs the cheap kinds first, and within each what takes long', () => {
    const isCrash = (path: string) => path.endsWith('.crash.spec.ts');
    const tests = ['test/crash/a.crash.spec.ts', ...[...Sequencer.longest].reverse(), 'test/a.unit.spec.ts', 'test/a.e2e.spec.ts'];
    const context = {
      config: { id: 'nothing is cached', cacheDirectory: tmpdir(), haste: {} },
      hasteFS: { getSize: (path: string) => path.length },
    };
    const sorted = new Sequencer({ contexts: [], globalConfig: {} }).sort(tests.map((path) => ({ path: join(ROOT, path), context })));
    expect(sorted.map(({ path }) => relative(ROOT, path))).toEqual([
      'test/a.unit.spec.ts',
      ...Sequencer.longest.filter((path) => !isCrash(path)),
      'test/a.e2e.spec.ts',
      ...Sequencer.longest.filter(isCrash),
      'test/crash/a.crash.spec.ts',
    ]);
    expect(Sequencer.longest.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});
