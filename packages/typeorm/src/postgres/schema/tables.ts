import { hfError } from '@holdfast/core';

/** Names of everything Holdfast keeps in a database, qualified by its schema. */
export class Tables {
  readonly meta: string;
  readonly lane: string;
  readonly outbox: string;
  readonly scheduled: string;
  readonly subscription: string;
  readonly cursor: string;
  readonly inbox: string;
  readonly delivery: string;
  readonly reply: string;
  readonly node: string;
  readonly audit: string;
  readonly lease: string;
  /** Processes that want leases of a scope. */
  readonly leaseMember: string;
  readonly parked: string;
  /** Types by subscription and process. */
  readonly takenType: string;
  readonly receipt: string;
  /** Messages whose unit has not been known to commit. */
  readonly halfMessage: string;
  /** Decisions of which the first one counts. */
  readonly guard: string;
  /** Steps of sagas that run in a DataSource besides the store's; it is in that one. */
  readonly stepGuard: string;
  readonly saga: string;
  readonly sagaHistory: string;
  readonly sagaEvent: string;
  readonly sagaSignal: string;
  readonly sagaLock: string;
  /** Choreographed sagas, by service. */
  readonly choreography: string;
  /** What there is to undo of them. */
  readonly choreographyPart: string;
  /** Calls of tries. */
  readonly branch: string;
  /** Only for the start-up self-test of the sequence's lock. */
  readonly probe: string;

  /** @throws HF_CONFIG_INVALID when the name is none PostgreSQL takes unquoted */
  constructor(readonly schema: string | undefined) {
    if (schema !== undefined && !/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
      throw hfError('HF_CONFIG_INVALID', {
        problems: [`schema ${JSON.stringify(schema)} is not a plain PostgreSQL name: use lower-case letters, digits and _, at most 63`],
      });
    }
    const at = (name: string) => (schema === undefined ? `holdfast_${name}` : `${schema}.holdfast_${name}`);
    this.meta = at('meta');
    this.lane = at('lane');
    this.outbox = at('outbox');
    this.scheduled = at('scheduled');
    this.subscription = at('subscription');
    this.cursor = at('cursor');
    this.inbox = at('inbox');
    this.delivery = at('delivery');
    this.reply = at('reply');
    this.node = at('node');
    this.audit = at('audit');
    this.lease = at('lease');
    this.leaseMember = at('lease_member');
    this.parked = at('parked');
    this.takenType = at('taken_type');
    this.receipt = at('receipt');
    this.halfMessage = at('half_message');
    this.guard = at('guard');
    this.stepGuard = at('step_guard');
    this.saga = at('saga');
    this.sagaHistory = at('saga_history');
    this.sagaEvent = at('saga_event');
    this.sagaSignal = at('saga_signal');
    this.sagaLock = at('saga_lock');
    this.choreography = at('choreography');
    this.choreographyPart = at('choreography_part');
    this.branch = at('branch');
    this.probe = at('probe');
  }

  /** The sequence that numbers a lane. */
  sequence(lane: number): string {
    return `${this.lane}_${lane}`;
  }

  /** The same as an SQL expression over the lane's number. */
  sequenceOf(laneExpression: string): string {
    return `('${this.lane}_' || ${laneExpression})::regclass`;
  }
}
