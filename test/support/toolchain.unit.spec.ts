// The tool chain itself: what every other suite silently relies on.
import { Controller, Injectable } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { getDataSourceToken } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';

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
});
