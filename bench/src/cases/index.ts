import type { Case } from '../runner/bench.js';
import { consuming, hotKey } from './consuming.js';
import { frozenWriter } from './frozen-writer.js';
import { halfMessage } from './half-message.js';
import { idleLatency } from './idle-latency.js';
import { idlePoll } from './idle-poll.js';
import { kafkaConsume, kafkaPublish } from './kafka-alone.js';
import { kafkaRecovery } from './kafka-recovery.js';
import { kafkaTransactions } from './kafka-transactions.js';
import { largeLog } from './large-log.js';
import { memory } from './memory.js';
import { orderToPayment, orderToPaymentBatched, orderToPaymentTypeorm } from './order-to-payment.js';
import { producers } from './producers.js';
import { rabbitmqConsume, rabbitmqPublish } from './rabbitmq-alone.js';
import { rabbitmqIdleLatency } from './rabbitmq-idle-latency.js';
import { kafkaOrderToPayment, rabbitmqOrderToPayment } from './broker-order-to-payment.js';
import { rabbitmqPublishMode } from './rabbitmq-publish-mode.js';
import { rabbitmqRecovery } from './rabbitmq-recovery.js';
import { recovery } from './recovery.js';
import { rocketmqReceive, rocketmqSend } from './rocketmq-alone.js';
import { rocketmqRecovery } from './rocketmq-recovery.js';
import { sagaSleeping } from './saga-sleeping.js';
import { sagaTakeOver } from './saga-take-over.js';
import { sagaTrips } from './saga-trips.js';
import { rabbitmqSaga, sagaLocal, sagaUndo } from './sagas.js';

/** All cases, in the order in which they run. */
export const CASES: readonly Case[] = [
  orderToPayment,
  orderToPaymentTypeorm,
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
  sagaLocal,
  sagaUndo,
  sagaTrips,
  sagaSleeping,
  sagaTakeOver,
  ...rabbitmqOrderToPayment,
  rabbitmqPublish,
  rabbitmqConsume,
  rabbitmqIdleLatency,
  rabbitmqPublishMode,
  rabbitmqRecovery,
  rabbitmqSaga,
  halfMessage,
  ...kafkaOrderToPayment,
  kafkaPublish,
  kafkaConsume,
  kafkaTransactions,
  kafkaRecovery,
  rocketmqSend,
  rocketmqReceive,
  rocketmqRecovery,
];
