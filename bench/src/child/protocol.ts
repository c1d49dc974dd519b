import type { NestShopOptions } from '../shop/nest-shop.js';

/** How a service in a process of its own is started. */
export interface ServiceOptions extends NestShopOptions {
  /** Tell when each order was paid. */
  readonly tellsPayments?: boolean;
}

/** What a service process can be asked to do. */
export type Command =
  | { readonly do: 'pause' | 'resume' | 'stop' }
  /** Places an order, and freezes between writing its message and the commit. */
  | { readonly do: 'freeze'; readonly ms: number }
  /** Resident memory, in bytes: when it was first asked for, and the most since. */
  | { readonly do: 'memory' };

/** What a service process says. */
export type Said =
  | { readonly is: 'ready' }
  | { readonly is: 'done'; readonly answer?: Memory }
  | { readonly is: 'failed'; readonly error: string }
  | { readonly is: 'paid'; readonly orderId: string; readonly atMs: number };

/** Resident memory in bytes. */
export interface Memory {
  readonly first: number;
  readonly most: number;
}
