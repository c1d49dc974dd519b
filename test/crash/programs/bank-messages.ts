import { Command, Message } from '@holdfast/core';
import { SERVICES, type Service } from './bank-kit.js';
import type { Transfer } from './options.js';

/** Money that is put into an account, and not free yet. */
export interface Holding {
  readonly transfer: Transfer;
  readonly account: string;
  readonly amount: number;
}

/** Commands and events of one service. */
function messagesOf(service: Service) {
  @Message(`bank.hold-${service}`)
  class Hold extends Command {
    constructor(readonly holding: Holding) {
      super();
    }
  }
  @Message(`bank.unhold-${service}`)
  class Unhold extends Command {
    constructor(readonly holding: Holding) {
      super();
    }
  }
  @Message(`bank.settle-${service}`)
  class Settle extends Command {
    constructor(readonly holding: Holding) {
      super();
    }
  }
  @Message(`bank.wanted-${service}`)
  class Wanted {
    constructor(readonly transfer: Transfer) {}
  }
  @Message(`bank.debited-${service}`)
  class Debited {
    constructor(readonly transfer: Transfer) {}
  }
  @Message(`bank.credited-${service}`)
  class Credited {
    constructor(readonly transfer: Transfer) {}
  }
  @Message(`bank.approved-${service}`)
  class Approved {
    constructor(readonly transfer: Transfer) {}
  }
  return { Hold, Unhold, Settle, Wanted, Debited, Credited, Approved };
}

const MESSAGES = { north: messagesOf('north'), south: messagesOf('south'), west: messagesOf('west') };

/** Messages to the service that has an account. */
export function messagesTo(account: string): ReturnType<typeof messagesOf> {
  return MESSAGES[serviceOf(account)];
}

/** The service that has neither account, where fees are kept and transfers are approved. */
export function thirdOf({ from, to }: Transfer): Service {
  return SERVICES.find((each) => each !== serviceOf(from) && each !== serviceOf(to)) as Service;
}

function serviceOf(account: string): Service {
  return account.split('/')[0] as Service;
}
