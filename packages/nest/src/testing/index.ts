import { HoldfastTesting } from './holdfast-testing.js';
import { inMemoryApplication } from './in-memory-application.js';
import { testDelivery } from './test-delivery.js';

HoldfastTesting.inMemory = inMemoryApplication;
HoldfastTesting.delivery = testDelivery;

export {
  type ExpectedCommand,
  HoldfastTesting,
  type Recorded,
  type ReplyOf,
  type SagaScript,
  type VirtualClock,
} from './holdfast-testing.js';
