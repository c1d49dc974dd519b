import { storeDeadLettersContract } from './store-dead-letters.contract.js';
import { storeDeathsContract } from './store-deaths.contract.js';
import { storeDeliveriesContract } from './store-deliveries.contract.js';
import { storeInboxContract } from './store-inbox.contract.js';
import type { StoreFixture } from './store-kit.js';
import { storeLogContract } from './store-log.contract.js';
import { storeSchemaContract } from './store-schema.contract.js';
import { storeSubscriptionsContract } from './store-subscriptions.contract.js';

export type { ProcessOptions, StoreDatabase, StoreFixture, StoreProcess } from './store-kit.js';

/**
 * What every store promises, port by port: an adapter is a fixture and this one call.
 *
 * @param name of the store, for the title
 * @param fixture makes an empty database for each test
 */
export function storeContract(name: string, fixture: StoreFixture): void {
  describe(`the store ${name}`, () => {
    storeSchemaContract(fixture);
    storeLogContract(fixture);
    storeInboxContract(fixture);
    storeDeliveriesContract(fixture);
    storeDeathsContract(fixture);
    storeSubscriptionsContract(fixture);
    storeDeadLettersContract(fixture);
  });
}
