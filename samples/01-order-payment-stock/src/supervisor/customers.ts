import { setTimeout as sleep } from 'node:timers/promises';

/** Every so many-th attempt is for more than the credit limit. */
const REFUSED_EVERY = 10;
const AMOUNT = 25;
const TOO_MUCH = 5000;
/** Orders that are under way at the same time. */
const AT_ONCE = 4;
const WAIT_MS = 20;
/** Dan's account is empty. */
const DAN = { first: 5, every: 20 } as const;
/** Nora has moved, and nobody knows where to. */
const NORA = { first: 10, every: 50 } as const;
const OTHERS = ['ann', 'ben', 'cleo'] as const;

/** People who place orders, and write down what they were answered. */
export class Customers {
  /** Ids of the orders that were answered with 201, and who placed each. */
  readonly accepted = new Map<string, string>();
  /** Orders that were answered with 422. */
  refused = 0;
  /** So many orders are under way that customers wait. */
  isCrowded = false;
  private attempts = 0;
  private asked = 0;
  private isClosed = false;

  /**
   * @param url of the orders service
   * @param wanted orders that shall be accepted
   */
  constructor(
    private readonly url: string,
    private readonly wanted: number,
  ) {}

  /** Resolves when every order is answered. @throws when an answer is neither 201 nor 422 */
  async placeAll(): Promise<void> {
    await Promise.all(Array.from({ length: AT_ONCE }, () => this.placeSome()));
  }

  /** The shop closes: nobody orders any more. */
  close(): void {
    this.isClosed = true;
  }

  private async placeSome(): Promise<void> {
    while (this.asked < this.wanted && !this.isClosed) {
      if (this.isCrowded) {
        await sleep(WAIT_MS);
        continue;
      }
      this.attempts += 1;
      const isTooMuch = this.attempts % REFUSED_EVERY === 0;
      if (!isTooMuch) this.asked += 1;
      await this.place(customerOf(this.asked), isTooMuch ? TOO_MUCH : AMOUNT);
    }
  }

  private async place(customer: string, amount: number): Promise<void> {
    const response = await fetch(new URL('orders', this.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ customer, amount }),
    });
    if (response.status !== 201 && response.status !== 422) throw new Error(`orders answered ${response.status}: ${await response.text()}`);
    const answer = (await response.json()) as { id: string };
    if (response.status === 201) this.accepted.set(answer.id, customer);
    else this.refused += 1;
  }
}

/** Whose order the so many-th is. */
function customerOf(order: number): string {
  if (order % NORA.every === NORA.first) return 'nora';
  return order % DAN.every === DAN.first ? 'dan' : (OTHERS[order % OTHERS.length] as string);
}
