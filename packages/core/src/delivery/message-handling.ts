import type { HandOver } from '../transport/transport.port.js';
import type { Intake } from './intake.port.js';

/** Deals with what one intake gives, once. */
export interface MessageHandling {
  /** @param limit messages it may take; default: the subscription's batch */
  handle(intake: Intake, limit?: number): Promise<HandOver>;
}
