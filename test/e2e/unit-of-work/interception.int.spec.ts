import { installInterception } from '../../../packages/typeorm/src/unit-of-work/interception.js';
import { Account } from './entities.js';
import { openUnits, type Units, unitsOver } from './support.js';

let units: Units;

beforeAll(async () => {
  units = await openUnits();
});
beforeEach(() => units.clean());
afterAll(() => units.close());

const accounts = () => units.dataSource.getRepository(Account);
const refused = new Error('refused');

describe('two applications on one data source', () => {
  it('each see their own units, and one may leave', async () => {
    const other = unitsOver(units.dataSource);
    const unit = units.engine.run(async () => {
      await accounts().insert({ id: 'gone' });
      await other.engine.run(() => accounts().insert({ id: 'in the other' })).catch(() => {});
      throw refused;
    });
    await expect(unit).rejects.toBe(refused);
    const theOtherWay = other.engine.run(async () => {
      await units.engine.run(() => accounts().insert({ id: 'in the first' }));
      throw refused;
    });
    await expect(theOtherWay).rejects.toBe(refused);
    units.uninstall();
    const left = other.engine.run(async () => {
      await accounts().insert({ id: 'gone too' });
      throw refused;
    });
    await expect(left).rejects.toBe(refused);
    units.reinstall();
    other.uninstall();
    other.uninstall();
    const stayed = units.engine.run(async () => {
      await accounts().insert({ id: 'gone as well' });
      throw refused;
    });
    await expect(stayed).rejects.toBe(refused);
    expect(await units.accounts()).toEqual(['in the first', 'in the other']);
  });
});

describe('what the last application leaves behind', () => {
  it('is the data source as it was', async () => {
    units.uninstall();
    const before = { source: Object.getOwnPropertyNames(units.dataSource), manager: Object.getOwnPropertyNames(units.dataSource.manager) };
    units.reinstall();
    units.uninstall();
    const after = { source: Object.getOwnPropertyNames(units.dataSource), manager: Object.getOwnPropertyNames(units.dataSource.manager) };
    units.reinstall();
    expect(after).toEqual(before);
    expect(before.source).not.toContain('query');
  });
});

describe('another package that finds its transaction by itself', () => {
  it('is refused on the data source, naming the right import', () => {
    units.uninstall();
    const { manager } = units.dataSource;
    const own = Object.getOwnPropertyDescriptor(units.dataSource, 'manager') as PropertyDescriptor;
    Object.defineProperty(units.dataSource, 'manager', { configurable: true, get: () => manager });
    try {
      expect(() => installInterception(units.dataSource, { scopes: units.scopes as never, name: 'default', hasOutbox: true })).toThrow(
        expect.objectContaining({ code: 'HF_REPOSITORY_PATCHED', message: expect.stringContaining('@holdfast/nest') }),
      );
    } finally {
      Object.defineProperty(units.dataSource, 'manager', own);
      units.reinstall();
    }
  });

  it('is refused on repositories', () => {
    units.uninstall();
    const prototype = Object.getPrototypeOf(accounts()) as object;
    Object.defineProperty(prototype, 'manager', { configurable: true, get: () => undefined, set: () => {} });
    try {
      expect(() => installInterception(units.dataSource, { scopes: units.scopes as never, name: 'default', hasOutbox: true })).toThrow(
        expect.objectContaining({ code: 'HF_REPOSITORY_PATCHED' }),
      );
    } finally {
      Reflect.deleteProperty(prototype, 'manager');
      units.reinstall();
    }
  });
});
