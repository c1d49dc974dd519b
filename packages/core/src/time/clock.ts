/**
 * The time, as the engine sees it. Everything in core that asks for the time asks a Clock, so that a test can move it. Three places ask the machine, with
 * their reasons there: the dual-write check and `settled` of tests, for which a time that stands still or jumps would be wrong, and the console's lines.
 */
export interface Clock {
  /** The time of day; may jump when the machine's clock is set. For what people and other machines read, never for measuring. */
  now(): Date;
  /** Milliseconds since some moment of this process; never goes back. For measuring and for deadlines. */
  monotonicMs(): number;
  /**
   * How far this clock has been moved on before the database's own: 0 in production. Stores add it to the database's time, so that a
   * due time of tomorrow is due when a test has advanced its clock by a day.
   */
  aheadOfDatabaseMs(): number;
}

/** The machine's clocks. */
export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  aheadOfDatabaseMs: () => 0,
};
