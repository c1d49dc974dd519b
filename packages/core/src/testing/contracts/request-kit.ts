import { strict as assert } from 'node:assert';
import type { RequestOptions } from '../../bus/message-bus.js';
import type { Delivery } from '../../delivery/delivery.js';
import type { HandlerPolicies } from '../../delivery/subscription-options.js';
import { isHoldfastError } from '../../errors/holdfast-error.js';
import { Command, Message } from '../../message/message.js';
import { PATIENCE_MS } from './assertions.js';
import { type Bench, type Bus, SOON } from './transport-kit.js';

/** Asks for an answer to `text`. */
@Message('contract.ask')
export class Ask extends Command<unknown> {
  constructor(readonly text: string) {
    super();
  }
}

/** Policies of the one who answers. */
export type Policies = Partial<HandlerPolicies<Ask>>;

/** Every way a handler can be written: what it does commits with its reply, or is at least never without one. */
export const KINDS: Readonly<Record<string, Policies>> = {
  both: { transactional: true, idempotent: true },
  transactional: { transactional: true },
  idempotent: { idempotent: true },
  plain: {},
};

/** A bus that keeps nothing. */
export const STORELESS = { options: { store: undefined } };

/** Who asks and who answers: two processes, where the transport has more than one. */
export async function pair(
  bench: Bench,
  answer: (text: string, delivery: Delivery) => unknown,
  { options = {}, ...policies }: Policies & { readonly options?: Parameters<Bench['bus']>[0] } = KINDS.both as Policies,
): Promise<{ readonly asker: Bus; readonly owner: Bus }> {
  const owner = await bench.bus(options);
  const handler = (message: Ask, delivery: Delivery) => {
    owner.seen.push(`owner ${message.text} ${delivery.attempt}`);
    return answer(message.text, delivery);
  };
  owner.holdfast.on(Ask, handler, { name: 'contract.ask', retry: SOON, ...policies } as HandlerPolicies<Ask>);
  await owner.start();
  const asker = bench.capabilities.sharedSubscriptions ? await (await bench.bus({ ...options, service: 'asker' })).start() : owner;
  return { asker, owner };
}

/** Asks, and waits for the answer as long as for anything else. */
export function ask(bus: Bus, text: string, options: RequestOptions = {}): Promise<unknown> {
  return bus.holdfast.bus.request(new Ask(text), { timeout: PATIENCE_MS, ...options });
}

/** The error that a request ends with. */
export async function failure(asked: Promise<unknown>) {
  const error = await asked.then(
    (value) => assert.fail(`answered with ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  if (!isHoldfastError(error)) throw error;
  return error;
}
