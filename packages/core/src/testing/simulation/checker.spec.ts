import type { SagaProgress } from '../../saga/saga-progress.js';
import { type LedgerRow, moneyIn } from './accounts.spec.js';
import type { Bank } from './bank.spec.js';
import { type DrawnSaga, type DrawnStep, isMaybe, isMoving } from './random-sagas.spec.js';
import type { DrawnUnit } from './random-units.spec.js';
import { type HistoryRow, type SagaRow, statusOf } from './saga-rows.spec.js';
import { type DrawnTrip, isOff, stepOfLeg } from './trips.spec.js';

/** What is wrong at the end of a seed, one sentence each. */
export function problemsAtTheEnd(bank: Bank): readonly string[] {
  const databases = [bank, ...bank.participants].map(({ db }) => db);
  const ledger = databases.flatMap((db) => [...db.table<LedgerRow>('ledger').values()]);
  const history = [...bank.db.table<HistoryRow>('bank.history').values()];
  const money = databases.map(moneyIn).reduce((sum, each) => ({ now: sum.now + each.now, opened: sum.opened + each.opened }));
  const known = new Set([...bank.rows, ...bank.units, ...bank.trips].map(({ id }) => id));
  return [
    ...(money.now === money.opened ? [] : [`there is ${money.now} in the accounts, and there was ${money.opened}`]),
    ...[...bank.wanted.keys()].filter((id) => !known.has(id)).map((id) => `${id} was started and is not there`),
    ...ledger.filter(({ saga }) => !known.has(saga)).map(({ saga, step }) => `${step} of ${saga} was done, and there is no such saga`),
    ...bank.units.flatMap((unit) => problemsOfUnit(unit, { ledger, told: bank.told.get(unit.id) })),
    ...bank.trips.flatMap((trip) => problemsOfTrip(trip, ledger)),
    ...bank.rows.flatMap((row) => problemsOf(row, bank.drawn.get(row.saga) as DrawnSaga, { ledger, history })),
    ...bank.rows.flatMap((row) => problemsOfPivot(row, bank)),
  ].sort();
}

interface Books {
  readonly ledger: readonly LedgerRow[];
  readonly history: readonly HistoryRow[];
}

function problemsOf(row: SagaRow, { steps }: DrawnSaga, { ledger, history }: Books): readonly string[] {
  const { status, leftOut } = JSON.parse(row.progress) as SagaProgress;
  const ours = ledger.filter(({ saga }) => saga === row.id);
  const lines = history.filter(({ saga }) => saga === row.id);
  const say = (text: string) => `${row.id} (${status}): ${text}`;
  if (status !== 'completed' && status !== 'compensated') return [say('it has not ended')];
  const counted = steps
    .filter((step) => isMoving(step) || step.isUndoable)
    .flatMap((step) => problemsOfStep(step, { status, leftOut, ours }));
  return [...counted, ...problemsOfOrder(lines)].map(say);
}

/** What a pivot has started is completed, and there is no way back then. */
function problemsOfPivot({ id, progress, saga }: SagaRow, { rows, drawn }: Bank): readonly string[] {
  const pivot = drawn.get(saga)?.steps.find(({ isPivot }) => isPivot);
  const { status } = JSON.parse(progress) as SagaProgress;
  const children = rows.filter((row) => row.id === `${id}/${pivot?.name}` || row.id.startsWith(`${id}/${pivot?.name}#`));
  const isCompleted = children.some((child) => statusOf(child) === 'completed');
  return isCompleted && status === 'compensated' ? [`${id}: its pivot ${pivot?.name} was done, and it was undone`] : [];
}

/** Its tries are confirmed, each once, or cancelled, as its COMMIT said; and so its client was told. */
function problemsOfUnit(
  { id, moves }: DrawnUnit,
  { ledger, told }: { readonly ledger: readonly LedgerRow[]; readonly told: 'committed' | 'refused' | undefined },
): readonly string[] {
  const count = (step: string, what: LedgerRow['what'] = 'do') =>
    ledger.filter((row) => row.saga === id && row.step === step && row.what === what).length;
  const placed = count('placed');
  const problems: string[] = [];
  if (told !== undefined && placed !== (told === 'committed' ? 1 : 0)) problems.push(`it is ${told}, and done ${placed} times`);
  for (const { place } of moves) {
    const [held, given, back] = [count(`hold ${place}`), count(`give ${place}`), count(`hold ${place}`, 'undo')];
    if (placed > 1 || held > 1 || given !== placed || back !== held - placed)
      problems.push(`of a unit done ${placed} times, money was held ${held} times, given ${given} times and given back ${back} times`);
  }
  return problems.map((text) => `${id}: ${text}`);
}

/** All of it is done, or all that was done is undone, in each service the last first. */
function problemsOfTrip(trip: DrawnTrip, ledger: readonly LedgerRow[]): readonly string[] {
  const ours = ledger.filter(({ saga }) => saga === trip.id);
  const problems: string[] = [];
  for (const at of trip.legs.keys()) {
    const count = (what: LedgerRow['what']) => ours.filter((row) => row.step === stepOfLeg(at) && row.what === what).length;
    const [done, undone] = [count('do'), count('undo')];
    if (done > 1 || undone !== (isOff(trip) ? done : 0) || (!isOff(trip) && done === 0))
      problems.push(`leg ${at} was done ${done} times and undone ${undone} times`);
  }
  for (const service of new Set(trip.legs.map((leg) => leg.service))) {
    const here = ours.filter(({ step }) => trip.legs.some((leg, at) => leg.service === service && stepOfLeg(at) === step));
    const stepsOf = (what: LedgerRow['what']) => here.filter((row) => row.what === what).map(({ step }) => step);
    const [done, undone] = [stepsOf('do'), stepsOf('undo')];
    if (undone.length > 0 && undone.join() !== done.reverse().join())
      problems.push(`in ${service} ${done.join(', ')} was to be undone, and it was ${undone.join(', ')}`);
  }
  return problems.map((text) => `${trip.id}${isOff(trip) ? ' (off)' : ''}: ${text}`);
}

interface Found {
  readonly status: 'completed' | 'compensated';
  readonly leftOut: readonly string[];
  readonly ours: readonly LedgerRow[];
}

function problemsOfStep(step: DrawnStep, { status, leftOut, ours }: Found): readonly string[] {
  const { name, isUndoable } = step;
  const done = ours.filter((row) => row.step === name && row.what === 'do');
  const undone = ours.filter((row) => row.step === name && row.what === 'undo');
  const problems: string[] = [];
  if (done.length > 1) problems.push(`${name} was done ${done.length} times`);
  if (undone.length > 1) problems.push(`${name} was undone ${undone.length} times`);
  if (status === 'completed' && undone.length > 0) problems.push(`${name} was undone`);
  if (status === 'completed' && done.length === 0 && !leftOut.includes(name) && !isMaybe(step)) problems.push(`${name} was not done`);
  if (leftOut.includes(name) && done.length > 0) problems.push(`${name} was left out, and done`);
  if (status === 'compensated' && isUndoable && done.length !== undone.length)
    problems.push(`${name} was done ${done.length} times and undone ${undone.length} times`);
  const [last] = done.slice(-1);
  const [first] = undone;
  if (last !== undefined && first !== undefined && first.atMs < last.atMs) problems.push(`${name} was undone before it was done`);
  return problems;
}

/** As the history tells: what was done last is undone first, and nothing is undone twice. */
function problemsOfOrder(lines: readonly HistoryRow[]): readonly string[] {
  const done = lines.filter(({ event }) => event === 'done').map(({ step }) => step);
  const undone = lines.filter(({ event }) => event === 'undone').map(({ step }) => step);
  const problems: string[] = [];
  if (new Set(undone).size !== undone.length) problems.push(`undone more than once: ${undone.join(', ')}`);
  const known = undone.filter((step) => done.includes(step));
  const expected = done.filter((step) => known.includes(step)).reverse();
  if (known.join() !== expected.join()) problems.push(`done in the order ${done.join(', ')}, undone in the order ${undone.join(', ')}`);
  return problems;
}
