import { parseArgs } from 'node:util';

/** What `npm start -- …` takes. */
export interface Options {
  /** Orders that customers get accepted; refused ones come on top. */
  readonly orders: number;
  readonly wantsHelp: boolean;
}

const DEFAULT_ORDERS = 300;
const MAX_ORDERS = 5000;

export const USAGE = `npm start -- [--orders ${DEFAULT_ORDERS}]

  --orders <n>   orders to be accepted, 10 to ${MAX_ORDERS}; every tenth attempt is refused and comes on top
  --help         this text`;

/** Reads the command line. @throws an Error that says what is wrong with it */
export function optionsFrom(args: readonly string[]): Options {
  const { values } = parseArgs({ args: [...args], options: { orders: { type: 'string' }, help: { type: 'boolean', short: 'h' } } });
  const orders = Number(values.orders ?? DEFAULT_ORDERS);
  if (!Number.isInteger(orders) || orders < 10 || orders > MAX_ORDERS) {
    throw new Error(`--orders is ${values.orders}; use a whole number from 10 to ${MAX_ORDERS}`);
  }
  return { orders, wantsHelp: values.help ?? false };
}
