import { HoldfastTesting } from './holdfast-testing.js';
import { inMemoryApplication } from './in-memory-application.js';
import { testDelivery } from './test-delivery.js';

HoldfastTesting.inMemory = inMemoryApplication;
HoldfastTesting.delivery = testDelivery;

export { HoldfastTesting, type Recorded, type VirtualClock } from './holdfast-testing.js';
