// docs/how-to/handle-failures.md
import { type HoldfastEvents, subscribe } from '@holdfast/nest';
import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';

@Injectable()
export class DeadLetterAlerts implements OnApplicationBootstrap, OnApplicationShutdown {
  private unsubscribe: () => void = () => undefined;

  onApplicationBootstrap(): void {
    this.unsubscribe = subscribe('delivery:dead-lettered', (letter) => this.page(letter));
  }

  onApplicationShutdown(): void {
    this.unsubscribe();
  }

  private page({ subscription, type, id, code }: HoldfastEvents['delivery:dead-lettered']): void {
    console.error(`${subscription}: ${type} ${id} is a dead letter (${code})`);
  }
}
