/**
 * The brokers that kafkajs begins with, for whatever it opens. Of a list it goes on to the next one only when it is refused a connection: the first one, when it hangs,
 * would keep everything from being opened, however many others there are. So what cannot be opened has the next thing begin with another one.
 */
export class Seeds {
  private first = 0;

  constructor(private readonly brokers: readonly string[]) {}

  /** All of them, in the order in which they are to be tried. */
  get list(): string[] {
    return [...this.brokers.slice(this.first), ...this.brokers.slice(0, this.first)];
  }

  /** Several may fail at once, with the same one. */
  async trying<T>(open: () => Promise<T>): Promise<T> {
    const { first } = this;
    try {
      return await open();
    } catch (error) {
      if (this.first === first) this.first = (first + 1) % this.brokers.length;
      throw error;
    }
  }
}
