import { runStoreContract } from '../../../../test/contracts/store-contract.js';

runStoreContract('messages');
