// Everything of the engine, so that a Nest application needs one import.
export * from '@holdfast/core';

// ── decorators ──────────────────────────────────────────────────────────────────────────────────────────────────────
export { Idempotent } from './decorators/idempotent.decorator.js';
export { OnMessage } from './decorators/on-message.decorator.js';
export { Policies } from './decorators/policies.decorator.js';
export { Transactional } from './decorators/transactional.decorator.js';

// ── module ──────────────────────────────────────────────────────────────────────────────────────────────────────────
export { HoldfastModule } from './module/holdfast.module.js';
export { HOLDFAST_OPTIONS, type HoldfastOptionsFactory } from './module/holdfast.tokens.js';

// ── guards, interceptors, filters ───────────────────────────────────────────────────────────────────────────────────
export { getDelivery } from './handlers/delivery-of.js';
