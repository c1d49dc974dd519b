import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

/** What the run found: a broker that was named or is on the default port, one that is started when it is asked for, or why there is none. */
export type FoundBroker<Place> = Partial<Place> & {
  /** Port of the `BrokerStarter`. */
  readonly starter?: number;
  readonly reason?: string;
  /** It is the one that the environment names. */
  readonly isNamed?: boolean;
};

/** A suite that needs a broker. */
interface Suite {
  readonly broker: string;
  readonly title: string;
  readonly suite: () => void;
}

/** Where there is a reason why there is none, the suite is skipped with it, and with `CI=true` fails with it. */
export function describeUnless(reason: string | undefined, { broker, title, suite }: Suite): void {
  if (reason === undefined) describe(title, suite);
  else if (mayBeMissing(process.env.CI)) describe.skip(`${title} (${reason})`, suite);
  else
    it(`${title}: has a ${broker}`, () => {
      throw new Error(`${reason}. Without CI=true it would be skipped.`);
    });
}

/** A suite that breaks a broker of its own. Where none can be started it is as above; but where the environment names one for the others, it may also be missing with `CI=true`. */
export function describeUnlessMissing(missing: string | undefined, suite: Suite & { readonly others: FoundBroker<unknown> }): void {
  const reason = missing && `no ${suite.broker} can be started here: ${missing}`;
  if (reason !== undefined && mayOwnBeMissing(process.env.CI, suite.others)) describe.skip(`${suite.title} (${reason})`, suite.suite);
  else describeUnless(reason, suite);
}

/** Whether a broker that is not there is no failure. @param ci what the environment says: empty, `0` and `false` mean no */
export function mayBeMissing(ci: string | undefined): boolean {
  return ci === undefined || ['', '0', 'false'].includes(ci.toLowerCase());
}

/**
 * The same of a broker that a suite would have to itself. Who names one for the other suites has chosen to do without it; one that is only found on a default port is no
 * choice, and must not hide that none can be started.
 */
export function mayOwnBeMissing(ci: string | undefined, { isNamed = false }: Pick<FoundBroker<unknown>, 'isNamed'>): boolean {
  return isNamed || mayBeMissing(ci);
}

export function foundBroker<Place>(name: 'rabbit' | 'kafka' | 'rocketmq'): FoundBroker<Place> {
  const found = process.env.HOLDFAST_TEST_BROKERS;
  if (!found) throw new Error('No brokers: name the file .int.spec.ts, .e2e.spec.ts or .crash.spec.ts, so that Jest looks for them');
  return (JSON.parse(found) as Readonly<Record<string, FoundBroker<Place>>>)[name] as FoundBroker<Place>;
}

/** Where it is, once it is started. */
export async function startedBroker<Place>({ starter, reason, isNamed, ...place }: FoundBroker<Place>): Promise<Place> {
  if (starter === undefined && reason === undefined) return place as Place;
  if (starter === undefined) throw new Error(reason);
  const answer = JSON.parse(await text(connect(starter, '127.0.0.1'))) as Place & { readonly reason?: string };
  if (answer.reason !== undefined) throw new Error(answer.reason);
  return answer;
}
