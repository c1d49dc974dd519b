// Everything of the engine, so that a Nest application needs one import.
export * from '@holdfast/core';

// ── decorators ──────────────────────────────────────────────────────────────────────────────────────────────────────
export { Durable } from './decorators/durable.decorator.js';
export { Idempotent } from './decorators/idempotent.decorator.js';
export { OnMessage } from './decorators/on-message.decorator.js';
export { Policies } from './decorators/policies.decorator.js';
export { Transactional } from './decorators/transactional.decorator.js';
export { TryConfirmCancel } from './decorators/try-confirm-cancel.decorator.js';

// ── module ──────────────────────────────────────────────────────────────────────────────────────────────────────────
export { HoldfastModule } from './module/holdfast.module.js';
export { HOLDFAST_OPTIONS, type HoldfastOptionsFactory } from './module/holdfast.tokens.js';

// ── health ──────────────────────────────────────────────────────────────────────────────────────────────────────────
export { HoldfastHealthIndicator, type HoldfastHealthOptions, type HoldfastHealthResult } from './health/holdfast.health.js';

// ── guards, interceptors, filters ───────────────────────────────────────────────────────────────────────────────────
export { getDelivery } from './handlers/delivery-of.js';

// ── neighbours ──────────────────────────────────────────────────────────────────────────────────────────────────────
export { HoldfastOutboxTransport, type OutboxTransportOptions } from './neighbours/holdfast-outbox-transport.js';
export type { RelayedMessage } from './neighbours/outbox-message.js';

// ── Nest's own handlers and clients ─────────────────────────────────────────────────────────────────────────────────
export { HoldfastClientProxy } from './microservices/holdfast.client-proxy.js';
export { HoldfastContext } from './microservices/holdfast.context.js';
export { HoldfastRecord } from './microservices/holdfast-record.js';
export { HOLDFAST_TRANSPORT, HoldfastStrategy } from './microservices/holdfast.strategy.js';
