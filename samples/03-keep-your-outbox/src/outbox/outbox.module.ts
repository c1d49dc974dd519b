import { type DynamicModule, Module, type Type } from '@nestjs/common';
import { OutboxTransport } from './contract.js';
import { Outbox } from './outbox.js';
import { OutboxRelay } from './relay.js';

/** Options of the module, as far as one transport needs them. */
export interface OutboxModuleOptions {
  readonly transports: { readonly broker: Type<Pick<OutboxTransport, 'publish'>> };
}

@Module({})
// biome-ignore lint/complexity/noStaticOnlyClass: that is what a dynamic module of Nest is
export class OutboxModule {
  static forRoot({ transports }: OutboxModuleOptions): DynamicModule {
    return {
      module: OutboxModule,
      global: true,
      providers: [Outbox, OutboxRelay, { provide: OutboxTransport, useClass: transports.broker }],
      exports: [Outbox],
    };
  }
}
