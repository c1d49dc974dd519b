/** Term of a lease, renewed at a third of it while the handler runs: what a dead process held is free within 10 s. */
export const LEASE_MS = 9_000;
