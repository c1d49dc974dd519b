import type { Case } from '../runner/bench.js';
import { consuming, hotKey } from './consuming.js';
import { frozenWriter } from './frozen-writer.js';
import { idleLatency } from './idle-latency.js';
import { idlePoll } from './idle-poll.js';
import { largeLog } from './large-log.js';
import { memory } from './memory.js';
import { orderToPayment, orderToPaymentBatched } from './order-to-payment.js';
import { producers } from './producers.js';
import { recovery } from './recovery.js';

/** All cases, in the order in which they run. */
export const CASES: readonly Case[] = [
  orderToPayment,
  orderToPaymentBatched,
  consuming,
  hotKey,
  frozenWriter,
  idleLatency,
  idlePoll,
  producers,
  largeLog,
  recovery,
  memory,
];
