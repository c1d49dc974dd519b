import { CHOREOGRAPHY_FACTS } from './store-choreography.contract.js';
import type { ContractCase } from './contract-case.js';
import { BRANCH_FACTS } from './store-branches.contract.js';
import { DEAD_LETTER_FACTS } from './store-dead-letters.contract.js';
import { DEATH_FACTS } from './store-deaths.contract.js';
import { DELIVERY_FACTS } from './store-deliveries.contract.js';
import { HALF_MESSAGE_FACTS } from './store-half-messages.contract.js';
import { INBOX_FACTS } from './store-inbox.contract.js';
import type { StoreFixture } from './store-kit.js';
import { LOG_FACTS } from './store-log.contract.js';
import { RECEIPT_FACTS } from './store-receipts.contract.js';
import { RELAY_FACTS } from './store-relay.contract.js';
import { REPLY_FACTS } from './store-replies.contract.js';
import { REQUEST_FACTS } from './store-requests.contract.js';
import { SAGA_FACTS } from './store-sagas.contract.js';
import { SCHEMA_FACTS } from './store-schema.contract.js';
import { STEP_GUARD_FACTS } from './store-step-guards.contract.js';
import { SUBSCRIPTION_FACTS } from './store-subscriptions.contract.js';
import { TAKEN_TYPE_FACTS } from './store-taken-types.contract.js';
import { TRANSPORT_FACTS } from './store-transports.contract.js';

/** What every store promises, port by port, as cases for any test runner: an adapter is a fixture and one loop. */
export function storeContract(): readonly ContractCase<StoreFixture>[] {
  return [
    ...SCHEMA_FACTS,
    ...LOG_FACTS,
    ...RELAY_FACTS,
    ...TRANSPORT_FACTS,
    ...HALF_MESSAGE_FACTS,
    ...SAGA_FACTS,
    ...STEP_GUARD_FACTS,
    ...CHOREOGRAPHY_FACTS,
    ...BRANCH_FACTS,
    ...INBOX_FACTS,
    ...REQUEST_FACTS,
    ...REPLY_FACTS,
    ...DELIVERY_FACTS,
    ...DEATH_FACTS,
    ...RECEIPT_FACTS,
    ...SUBSCRIPTION_FACTS,
    ...TAKEN_TYPE_FACTS,
    ...DEAD_LETTER_FACTS,
  ].map(({ name, check }) => ({ name, run: check }));
}
