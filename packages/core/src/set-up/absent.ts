import { hfError } from '../errors/catalogue.js';

/** Stands where a store would be needed: every use says what to add. */
export function absent<T extends object>(feature: string): T {
  const fail = (): never => {
    throw hfError('HF_CAPABILITY_UNSUPPORTED', { feature, provider: 'a bus without a store' });
  };
  // Frameworks probe injected objects for hooks and promises; those are answered with "not here".
  return new Proxy({} as T, {
    get: (_target, name) =>
      typeof name === 'symbol' || /^(then|on[A-Z]|before[A-Z].*Shutdown)/.test(name) || name === 'isActive' ? undefined : fail,
  });
}
