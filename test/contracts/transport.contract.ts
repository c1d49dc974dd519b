import { transportDeliveryContract } from './transport-delivery.contract.js';
import type { TransportFixture } from './transport-kit.js';
import { transportLifecycleContract } from './transport-lifecycle.contract.js';
import { transportOrderContract } from './transport-order.contract.js';

export type { TransportFixture, TransportProcess, TransportSystem } from './transport-kit.js';

/**
 * What every transport promises over the whole bus: an adapter is a fixture and this one call. A capability that is present is tested; one that
 * is absent must be refused at the start.
 *
 * @param name of the transport, for the title
 */
export function transportContract(name: string, fixture: TransportFixture): void {
  describe(`the transport ${name}`, () => {
    transportDeliveryContract(fixture);
    if (fixture.capabilities.partitionedDelivery) transportOrderContract(fixture);
    transportLifecycleContract(fixture);
  });
}
