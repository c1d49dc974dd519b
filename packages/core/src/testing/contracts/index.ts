export type { ContractCase } from './contract-case.js';
export { transportContract } from './transport.contract.js';
export type { TransportFixture, TransportProcess, TransportSystem } from './transport-kit.js';
export { storeContract } from './store.contract.js';
export type { ProcessOptions, StoreDatabase, StoreFixture, StoreProcess } from './store-kit.js';
