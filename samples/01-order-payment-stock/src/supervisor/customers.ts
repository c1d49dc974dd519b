/** Every so many-th attempt is for more than the credit limit. */
const REFUSED_EVERY = 10;
const AMOUNT = 25;
const TOO_MUCH = 5000;
/** Customers that order at the same time. */
const CUSTOMERS = 8;

/** People who place orders, and write down what they were answered. */
export class Customers {
  readonly accepted: string[] = [];
  refused = 0;
  private nextAttempt = 0;
  private asked = 0;

  /**
   * @param url of the orders service
   * @param wanted orders that shall be accepted
   * @param onAccepted told how many are by now
   */
  constructor(
    private readonly url: string,
    private readonly wanted: number,
    private readonly onAccepted: (count: number) => void,
  ) {}

  async placeAll(): Promise<void> {
    await Promise.all(Array.from({ length: CUSTOMERS }, () => this.placeSome()));
  }

  private async placeSome(): Promise<void> {
    while (this.asked < this.wanted) {
      this.nextAttempt += 1;
      if (this.nextAttempt % REFUSED_EVERY === 0) {
        await this.place(TOO_MUCH);
      } else {
        this.asked += 1;
        await this.place(AMOUNT);
      }
    }
  }

  private async place(amount: number): Promise<void> {
    const response = await fetch(new URL('orders', `${this.url}/`), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ amount }),
    });
    if (response.status === 422) {
      this.refused += 1;
      return;
    }
    if (response.status !== 201) throw new Error(`orders answered ${response.status}: ${await response.text()}`);
    this.accepted.push(((await response.json()) as { id: string }).id);
    this.onAccepted(this.accepted.length);
  }
}
