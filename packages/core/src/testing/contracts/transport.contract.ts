import type { TransportCapabilities } from '../../transport/transport.port.js';
import { closing } from './closing.js';
import { ADDRESS_FACTS } from './transport-addresses.contract.js';
import { CHOREOGRAPHY_FACTS } from './transport-choreography.contract.js';
import type { ContractCase } from './contract-case.js';
import { DELIVERY_FACTS } from './transport-delivery.contract.js';
import { FAILURE_FACTS } from './transport-failures.contract.js';
import { HALF_MESSAGE_FACTS } from './transport-half-messages.contract.js';
import { Bench, type TransportFixture } from './transport-kit.js';
import { LIFECYCLE_FACTS } from './transport-lifecycle.contract.js';
import { ORDER_FACTS } from './transport-order.contract.js';
import { RECEIPT_FACTS } from './transport-receipts.contract.js';
import { REFUSAL_FACTS } from './transport-refusals.contract.js';
import { REPLY_FACTS } from './transport-replies.contract.js';
import { WITHOUT_STORE_FACTS } from './transport-without-store.contract.js';

/**
 * What every transport promises over the whole bus, as cases for any test runner: an adapter is a fixture and one loop.
 *
 * A capability that is present is tested; one that is absent must be refused at the start, and has no other case.
 *
 * @param capabilities of the transport, as its factory has them
 */
export function transportContract(capabilities: TransportCapabilities): readonly ContractCase<TransportFixture>[] {
  return [
    ...DELIVERY_FACTS,
    ...ADDRESS_FACTS,
    ...FAILURE_FACTS,
    ...ORDER_FACTS,
    ...REPLY_FACTS,
    ...REFUSAL_FACTS,
    ...RECEIPT_FACTS,
    ...CHOREOGRAPHY_FACTS,
    ...HALF_MESSAGE_FACTS,
    ...LIFECYCLE_FACTS,
    ...WITHOUT_STORE_FACTS,
  ]
    .filter(({ isFor }) => isFor(capabilities))
    .map(({ name, check }) => ({ name, run: async (fixture) => closing(new Bench(await fixture.open(), capabilities), check) }));
}
