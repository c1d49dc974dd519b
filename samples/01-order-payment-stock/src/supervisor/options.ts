import { parseArgs } from 'node:util';

/** What `npm start -- …` takes. */
export interface Options {
  /** Orders that customers get accepted; refused ones come on top. */
  readonly orders: number;
  /** All of it must be done in this time. */
  readonly withinMs: number;
  /** What carries the messages. */
  readonly transport: (typeof TRANSPORTS)[number];
  readonly wantsHelp: boolean;
}

const TRANSPORTS = ['database', 'rabbitmq', 'kafka', 'rocketmq'] as const;
const DEFAULT_ORDERS = 100;
const MAX_ORDERS = 5000;
/** The default number of orders has a minute, larger ones more. */
const WITHIN_S = 60;
const WITHIN_S_PER_ORDER = 0.5;
const MAX_WITHIN_S = 3600;

export const USAGE = `npm start -- [--transport database] [--orders ${DEFAULT_ORDERS}] [--within ${WITHIN_S}]

  --transport <name>   database; rabbitmq: a RabbitMQ at RABBITMQ_URL, or on this machine; kafka: a Kafka at KAFKA_BROKERS;
                       rocketmq: a RocketMQ at ROCKETMQ_ENDPOINT; of these two, one is started where none is named (with Java,
                       and Maven, which fetches it the first time)
  --orders <n>         orders to be accepted, 10 to ${MAX_ORDERS}; every tenth attempt is refused and comes on top
  --within <s>         seconds for all of it, 1 to ${MAX_WITHIN_S}; what is not done then is told, and the exit code is 1
  --help               this text`;

/** Reads the command line. @throws an Error that says what is wrong with it */
export function optionsFrom(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      transport: { type: 'string' },
      orders: { type: 'string' },
      within: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const orders = wholeNumber('orders', values.orders ?? DEFAULT_ORDERS, [10, MAX_ORDERS]);
  const within = wholeNumber('within', values.within ?? Math.max(WITHIN_S, Math.ceil(orders * WITHIN_S_PER_ORDER)), [1, MAX_WITHIN_S]);
  return { orders, withinMs: within * 1000, transport: transportFrom(values.transport ?? 'database'), wantsHelp: values.help ?? false };
}

function transportFrom(name: string): Options['transport'] {
  const found = TRANSPORTS.find((transport) => transport === name);
  if (found === undefined) throw new Error(`--transport is ${name}; use ${TRANSPORTS.join(' or ')}`);
  return found;
}

function wholeNumber(name: string, value: string | number, [least, most]: readonly [least: number, most: number]): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= least && number <= most) return number;
  throw new Error(`--${name} is ${value}; use a whole number from ${least} to ${most}`);
}
